"""Pictures of many images at once, for people to look at."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

BACKGROUND = (255, 255, 255)
INK = (60, 60, 60)


def image_grid(
    rows: Sequence[Sequence[np.ndarray]],
    *,
    cell: int,
    gap: int = 2,
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
) -> Image.Image:
    """Lays images out in rows; smaller ones are enlarged by whole pixels or nearest neighbour.

    Args:
        rows: rows of uint8 [h, w, 3] images, of any sizes.
        cell: side of a cell in pixels. gap: white pixels between cells.
        row_labels, column_labels: texts to the left of the rows and above the columns.
    """
    columns = max(len(row) for row in rows)
    font = ImageFont.load_default(size=max(11, min(16, cell // 5)))
    left = 0
    if row_labels is not None:
        left = 8 + int(max(font.getlength(text) for text in row_labels))
    top = 20 if column_labels is not None else 0
    step = cell + gap
    picture = Image.new(
        "RGB", (left + columns * step - gap, top + len(rows) * step - gap), BACKGROUND
    )
    draw = ImageDraw.Draw(picture)
    for r, row in enumerate(rows):
        y = top + r * step
        if row_labels is not None:
            draw.text((0, y + cell // 2), row_labels[r], fill=INK, font=font, anchor="lm")
        for c, pixels in enumerate(row):
            image = Image.fromarray(np.ascontiguousarray(pixels))
            if image.size != (cell, cell):
                image = image.resize((cell, cell), Image.Resampling.NEAREST)
            picture.paste(image, (left + c * step, y))
    for c, text in enumerate(column_labels or ()):
        x = left + c * step + cell // 2
        draw.text((x, top // 2), text, fill=INK, font=font, anchor="mm")
    return picture


def square_grid(images: np.ndarray, *, cell: int) -> Image.Image:
    """Images [n, h, w, 3] in reading order, about as many rows as columns."""
    columns = int(np.ceil(np.sqrt(len(images))))
    rows = [list(images[i : i + columns]) for i in range(0, len(images), columns)]
    return image_grid(rows, cell=cell)
