"""The embedded data set: digits or letters in many fonts and colours, drawn as they are asked for.

An image is a pure function of (seed, index). It is drawn large and then averaged down like any
other picture, so its resolutions nest. Fonts are those that Matplotlib ships; the outlines are
rasterized by the FreeType in Pillow, so that another version of it may change single grey levels.

The glyphs are meant to be learnt in minutes on a CPU: they fill the frame, upright up to ±12°, and
stand bright on a dark gradient.
"""

import colorsys
import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import ImageFont

from cdm_data_prep.sources.base import Item, Listing, Reader, Source, SourceKind, SourceOptions

CHARACTERS = {"digits": "0123456789", "alphanumeric": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"}

# The upright and slanted text faces that have all of the characters; no symbol or display fonts.
FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSans-BoldOblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "DejaVuSerif-BoldItalic",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralItalic",
    "STIXGeneralBolIta",
)

MIN_CANVAS = 128  # pixels; what is drawn before it is averaged down
MASTER_SIZE = 160  # font size of the cached outlines, in pixels
MAX_ROTATION = 12.0  # degrees to either side
HEIGHT = (0.75, 0.95)  # of the turned glyph, as a fraction of the frame's
MAX_WIDTH = 0.95
MAX_SHIFT = 0.06  # of the frame to either side, as far as there is room
MARGIN = 0.01  # of the frame, kept free at every edge

# Raised when the same (seed, index) comes to give another picture, so that a preparation that was
# begun before is not finished with different ones.
DRAWING_VERSION = 2

# Validation images are those from here on: no number of training images reaches them.
VALIDATION_START = 1_000_000_000


@dataclass(frozen=True)
class Glyphs:
    """`count` images from index `start` on; `canvas` is the side of the drawing in pixels."""

    characters: str
    seed: int
    start: int
    count: int
    canvas: int = MIN_CANVAS
    drawing: int = DRAWING_VERSION

    def listing(self) -> Listing:
        """Images with their index in the id; classes take turns, so they are balanced."""
        items = [
            Item(f"glyph-{index:010d}", index % len(self.characters), (index,))
            for index in range(self.start, self.start + self.count)
        ]
        return Listing(items, tuple(self.characters))

    @contextmanager
    def open(self) -> Iterator[Reader]:
        """A reader that draws."""
        yield lambda item: draw(
            self.characters[item.label], self.seed, int(item.location[0]), self.canvas
        )

    def describe(self, item: Item) -> str:
        """The seed and the index, which define the image."""
        return f"glyphs seed {self.seed} index {item.location[0]}"


def draw(character: str, seed: int, index: int, canvas: int) -> np.ndarray:
    """The index-th image: `character` in random font, size, place, rotation and colours.

    Returns uint8 [canvas, canvas, 3]. What is random does not depend on the size of the canvas.
    """
    rng = np.random.default_rng([seed, index])
    font = FONTS[rng.integers(len(FONTS))]
    angle = math.radians(rng.uniform(-MAX_ROTATION, MAX_ROTATION))
    height = rng.uniform(*HEIGHT)
    shift = rng.uniform(-MAX_SHIFT, MAX_SHIFT, size=2)
    ink = _colour(rng, saturation=(0.4, 1.0), value=(0.85, 1.0))
    ground = [_colour(rng, saturation=(0.3, 1.0), value=(0.0, 0.3)) for _ in range(2)]
    direction = rng.uniform(0, 2 * math.pi)

    mask = _place(*_outline(font, character), angle, height, shift, canvas)[..., None]
    image = _gradient(ground[0], ground[1], direction, canvas) * (1 - mask) + ink * mask
    return np.rint(image * 255).astype(np.uint8)


@functools.cache
def _outline(font: str, character: str) -> tuple[np.ndarray, np.ndarray]:
    """The glyph, cut to its ink: coverage 0…1, float32 [h, w], and its hull [k, 2] of (x, y)."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    face = ImageFont.truetype(str(folder / f"{font}.ttf"), MASTER_SIZE)
    mask = face.getmask(character, mode="L")
    coverage = np.asarray(mask, np.float32).reshape(mask.size[1], mask.size[0]) / 255
    rows, columns = np.flatnonzero(coverage.any(1)), np.flatnonzero(coverage.any(0))
    outline = np.pad(coverage[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 1)
    ink = np.argwhere(outline > 0)[:, ::-1].astype(np.float32)
    return outline, cv2.convexHull(ink)[:, 0].astype(np.float64)


def _place(
    outline: np.ndarray,
    hull: np.ndarray,
    angle: float,
    height: float,
    shift: np.ndarray,
    canvas: int,
) -> np.ndarray:
    """The outline turned, scaled and moved, wholly inside the frame: float32 [canvas, canvas]."""
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    turned = hull @ turn.T
    low, high = turned.min(0), turned.max(0)
    width, tall = high - low + 1  # from centres of pixels to their edges
    scale = canvas * min(height / tall, MAX_WIDTH / width)
    room = np.maximum(0, (canvas - scale * np.array([width, tall])) / 2 - MARGIN * canvas)
    centre = canvas / 2 + np.clip(shift * canvas, -room, room)
    # Pixel i covers i … i + 1, its centre is at i + 0.5; warpAffine counts centres from 0.
    offset = centre - 0.5 - scale * (low + high) / 2
    return cv2.warpAffine(
        outline,
        np.column_stack([scale * turn, offset]),
        (canvas, canvas),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )


def _gradient(start: np.ndarray, end: np.ndarray, direction: float, canvas: int) -> np.ndarray:
    """A linear gradient from colour to colour across the frame: float32 [canvas, canvas, 3]."""
    along = (np.arange(canvas, dtype=np.float32) + 0.5) / canvas - 0.5
    x, y = math.cos(direction), math.sin(direction)
    # Divided so that the corners have the pure colours.
    position = 0.5 + (along[None, :] * x + along[:, None] * y) / (abs(x) + abs(y))
    return start + position[..., None] * (end - start)


def _colour(
    rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]
) -> np.ndarray:
    """A random colour of any hue: float32 [3] of RGB 0…1."""
    hsv = rng.uniform(), rng.uniform(*saturation), rng.uniform(*value)
    return np.array(colorsys.hsv_to_rgb(*hsv), np.float32)


def _make(options: SourceOptions) -> dict[str, Source]:
    kind = options.characters
    if kind not in CHARACTERS:
        raise ValueError(f"--characters {kind}: expected one of {', '.join(CHARACTERS)}")
    numbers = {"train": options.num or 0, "validation": options.num_validation or 0}
    if not 0 < numbers["train"] <= VALIDATION_START or numbers["validation"] < 0:
        raise ValueError(
            f"--num {numbers['train']} --num-validation {numbers['validation']}: "
            f"expected 1 to {VALIDATION_START} training images and no negative number"
        )
    canvas = max(MIN_CANVAS, *options.resolutions)
    starts = {"train": 0, "validation": VALIDATION_START}
    return {
        split: Glyphs(CHARACTERS[kind], options.seed, starts[split], count, canvas)
        for split, count in numbers.items()
        if count
    }


KIND = SourceKind(
    make=_make,
    defaults={"num": 10_000, "num_validation": 2_000, "characters": "digits"},
    default_name=lambda options: "glyphs",
)
