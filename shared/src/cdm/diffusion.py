"""The Gaussian diffusion process and its reverse: one function for each equation.

Images are float32 [b, h, w, c] in [-1, 1]; `t` is int32 [b] or a scalar, the index of a Schedule's
tables (1 … T; 0 is the clean image).
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from cdm.schedules import Schedule

Images = Float[Array, "b h w c"]
Steps = Int[Array, " b"] | Int[Array, ""]
Column = Float[Array, "b 1 1 1"]
Kind = Literal["eps", "v", "x_0"]
Variance = Literal["learned", "fixed_large", "fixed_small"]


def at(table: np.ndarray, t: Steps) -> Float[Array, "b 1 1 1"]:
    """The entries of a float64 table at t as float32, shaped to multiply images."""
    return jnp.asarray(table, jnp.float32)[jnp.atleast_1d(t)][:, None, None, None]


def q_sample(schedule: Schedule, x_0: Images, t: Steps, noise: Images) -> Images:
    """Draws x_t from q(x_t | x_0): sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise.

    Lines 5, 12 and 13 of Algorithm 1, line 10 of Algorithm 2. At t = 0 it returns x_0.
    """
    return root_alpha_bar(schedule, t) * x_0 + deviation_of(schedule, t) * noise


def predict_x_0(schedule: Schedule, x_t: Images, t: Steps, eps_pred: Images) -> Images:
    """The clean image that this noise would mean (DDPM, Eq. 15).

    (x_t - sqrt(1 - alpha_bar_t) eps_pred) / sqrt(alpha_bar_t)
    """
    return (x_t - deviation_of(schedule, t) * eps_pred) / root_alpha_bar(schedule, t)


def predict_eps(schedule: Schedule, x_t: Images, t: Steps, x_0: Images) -> Images:
    """The noise that this clean image would mean: the inverse of `predict_x_0`."""
    return (x_t - root_alpha_bar(schedule, t) * x_0) / deviation_of(schedule, t)


def target(kind: Kind, root: Column, deviation: Column, x_0: Images, eps: Images) -> Images:
    """What a network of this kind is to say of x_t = root x_0 + deviation eps.

    "eps": the noise, as the paper's networks. "v": root eps - deviation x_0 (Salimans & Ho
    2022), which weighs the image more the noisier x_t is. "x_0": the image.

    Args:
        root, deviation: sqrt(alpha_bar) and sqrt(1 - alpha_bar), [b, 1, 1, 1]. Both are wanted:
            one computed from the other in float32 is wrong in its third digit at t = 1.
    """
    if kind == "eps":
        return eps
    if kind == "x_0":
        return x_0
    return root * eps - deviation * x_0


def eps_from_output(
    kind: Kind, root: Column, deviation: Column, x_t: Images, output: Images
) -> Images:
    """The noise that an output of this kind means (see `target`)."""
    if kind == "eps":
        return output
    if kind == "x_0":
        return (x_t - root * output) / deviation
    return deviation * x_t + root * output


def q_posterior_mean(schedule: Schedule, x_0: Images, x_t: Images, t: Steps) -> Images:
    """The mean of q(x_{t-1} | x_t, x_0) (DDPM, Eq. 7)."""
    return at(schedule.posterior_mean_x0, t) * x_0 + at(schedule.posterior_mean_xt, t) * x_t


def log_variance(
    schedule: Schedule, variance: Variance, t: Steps, v: Images | None = None
) -> Float[Array, "b _ _ _"]:
    """The logarithm of the variance of p(x_{t-1} | x_t).

    "learned": v in [-1, 1], a network output, interpolates between log posterior variance and
    log beta_t (Improved DDPM, Eq. 15). "fixed_small": the posterior variance. "fixed_large": beta_t
    (with that of the posterior at t = 2 for t = 1, where beta would blur the decoder).
    """
    small = at(schedule.posterior_log_variance, t)
    if variance == "fixed_small":
        return small
    if variance == "fixed_large":
        return at(np.log(_large(schedule)), t)
    if v is None:
        raise ValueError("a learned variance needs the network's second half of channels")
    fraction = (v + 1.0) / 2.0
    large = at(np.log(np.maximum(schedule.beta, np.finfo(np.float64).tiny)), t)
    return fraction * large + (1.0 - fraction) * small


def p_mean(
    schedule: Schedule, x_t: Images, t: Steps, eps_pred: Images, *, clip: bool
) -> tuple[Images, Images]:
    """The mean of p(x_{t-1} | x_t) and the predicted x_0 it was made with.

    With `clip` the predicted x_0 is clipped to [-1, 1] first: when sampling, never in a loss.
    """
    x_0 = predict_x_0(schedule, x_t, t, eps_pred)
    if clip:
        x_0 = jnp.clip(x_0, -1.0, 1.0)
    return q_posterior_mean(schedule, x_0, x_t, t), x_0


def per_image_normal(keys: jax.Array, shape: tuple[int, ...]) -> Images:
    """Standard normal noise [b, *shape], image i from key i alone, whatever the batch."""
    return jax.vmap(lambda key: jax.random.normal(key, shape))(keys)


def root_alpha_bar(schedule: Schedule, t: Steps) -> Column:
    """sqrt(alpha_bar_t), shaped to multiply images."""
    return at(np.sqrt(schedule.alpha_bar), t)


def deviation_of(schedule: Schedule, t: Steps) -> Column:
    """sqrt(1 - alpha_bar_t), shaped to multiply images."""
    return at(np.sqrt(1.0 - schedule.alpha_bar), t)


def _large(schedule: Schedule) -> np.ndarray:
    large = schedule.beta.copy()
    large[:2] = np.exp(schedule.posterior_log_variance[:2])
    return large
