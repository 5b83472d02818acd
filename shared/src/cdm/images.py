"""Ranges and sizes of images. [-1, 1] float in models, uint8 on disk."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

Images = Float[Array, "b h w c"]

ROUNDING = "clip(round((x + 1) * 127.5), 0, 255)"


def from_uint8(images: UInt8[Array, "b h w c"]) -> Images:
    """uint8 0 … 255 to float32 in [-1, 1]."""
    return images.astype(jnp.float32) / 127.5 - 1.0


def to_uint8(images: Images) -> UInt8[Array, "b h w c"]:
    """Float in [-1, 1] to the nearest uint8; the inverse of `from_uint8`. See `ROUNDING`."""
    return jnp.clip(jnp.round((images + 1.0) * 127.5), 0.0, 255.0).astype(jnp.uint8)


def area_downsample(images: Images, size: int) -> Images:
    """Means over squares of pixels: [b, h, w, c] to [b, size, size, c].

    The resize of the prepared data, so that low-res inputs nest in the larger images.

    Raises:
        ValueError: the images are not square or their side is no multiple of `size`.
    """
    b, h, w, c = images.shape
    if h != w or h % size:
        raise ValueError(f"cannot average {h}x{w} images down to {size}x{size}")
    factor = h // size
    return images.reshape(b, size, factor, size, factor, c).mean(axis=(2, 4))


def upsample(images: Images, size: int, method: str) -> Images:
    """Bilinear or bicubic interpolation to [b, size, size, c] (Section 2.3); half-pixel centres."""
    b, _, _, c = images.shape
    kind = {"bilinear": "linear", "bicubic": "cubic"}[method]
    return jax.image.resize(images, (b, size, size, c), kind, antialias=False)


def low_res_consistency(images: np.ndarray, low_res: np.ndarray) -> tuple[float, list[float]]:
    """How far the outputs of a super-resolution stage are from their low-res inputs.

    Args:
        images: uint8 [n, h, w, 3], outputs. low_res: uint8 [n, l, l, 3], inputs; l divides h.

    Returns:
        The mean absolute difference of the area-downsampled outputs, and the mean difference of
        each colour channel, both in levels of 255.
    """
    n, side = low_res.shape[:2]
    factor = images.shape[1] // side
    blocks = images.reshape(n, side, factor, side, factor, images.shape[-1]).astype(np.float32)
    difference = blocks.mean(axis=(2, 4)) - low_res.astype(np.float32)
    return float(np.abs(difference).mean()), [float(c) for c in difference.mean(axis=(0, 1, 2))]
