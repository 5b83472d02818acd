"""Pictures inside the page: PNG data addresses, at their own resolution; the page enlarges them."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image


def mosaic(images: Sequence[np.ndarray], *, columns: int, gap: int) -> np.ndarray:
    """Images uint8 [r, r, 3] in reading order: RGBA uint8, with transparent gaps and empty places.

    There are always `columns` columns, so that mosaics of fewer images keep the same scale.
    """
    size = images[0].shape[0]
    rows = -(-len(images) // columns)
    step = size + gap
    canvas = np.zeros((rows * step - gap, columns * step - gap, 4), np.uint8)
    for index, image in enumerate(images):
        top, left = step * (index // columns), step * (index % columns)
        canvas[top : top + size, left : left + size, :3] = image
        canvas[top : top + size, left : left + size, 3] = 255
    return canvas


def data_address(pixels: np.ndarray) -> str:
    """Pixels uint8 [h, w, 3 or 4] as a PNG in a data: address."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
