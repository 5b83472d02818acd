"""Conditioning augmentation (Section 3): what is done to the low-res input z of an SR stage.

z is corrupted at its own resolution and upsampled afterwards, inside the network.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Images = Float[Array, "b h w c"]


def gaussian_blur(images: Images, sigma: Float[Array, " b"]) -> Images:
    """A 3x3 Gaussian filter of each image's own sigma, in pixels (Section 3.1); edges reflected.

    The kernel is the outer product of [w, 1, w] / (1 + 2 w), w = exp(-1 / (2 sigma^2)).
    """
    w = jnp.exp(-0.5 / sigma**2)[:, None, None, None]
    rows = jnp.pad(images, ((0, 0), (1, 1), (0, 0), (0, 0)), mode="reflect")
    images = (images + w * (rows[:, :-2] + rows[:, 2:])) / (1.0 + 2.0 * w)
    columns = jnp.pad(images, ((0, 0), (0, 0), (1, 1), (0, 0)), mode="reflect")
    return (images + w * (columns[:, :, :-2] + columns[:, :, 2:])) / (1.0 + 2.0 * w)


def random_blur(
    key: jax.Array, images: Images, sigma: tuple[float, float], probability: float
) -> Images:
    """Blurs each image with the given probability, by a sigma uniform in the range (Section 3.1).

    The coin and the sigma are drawn for each image of the batch. Training only.
    """
    coin_key, sigma_key = jax.random.split(key)
    b = images.shape[0]
    chosen = jax.random.bernoulli(coin_key, probability, (b,))
    sigmas = jax.random.uniform(sigma_key, (b,), minval=sigma[0], maxval=sigma[1])
    return jnp.where(chosen[:, None, None, None], gaussian_blur(images, sigmas), images)


def random_flips(key: jax.Array, batch: int) -> Bool[Array, " b"]:
    """For each image of the batch whether to flip it left to right: a fair coin."""
    return jax.random.bernoulli(key, 0.5, (batch,))


def flip(images: Images, flips: Bool[Array, " b"]) -> Images:
    """Mirrors the chosen images left to right; x and z take the same `flips`."""
    return jnp.where(flips[:, None, None, None], images[:, :, ::-1], images)
