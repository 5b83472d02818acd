"""Samplers: from noise to images, the whole loop inside one compiled program.

Each is a function of (predict, schedule, x_T, keys): `predict(x_t, t)` gives the noise (and v) at
step t of the schedule, which may be respaced; `keys` [b] are one random key for each image, so that
an image depends on its own key and not on the batch it is made in.
"""

from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp

from cdm import diffusion
from cdm.config import unknown
from cdm.diffusion import Images, Variance
from cdm.schedules import Schedule, respace, strided_steps
from cdm.stage import Predictor


class Sampler(Protocol):
    """The shape of every function in `SAMPLERS`."""

    def __call__(
        self,
        predict: Predictor,
        schedule: Schedule,
        x: Images,
        keys: jax.Array,
        *,
        variance: Variance,
        start: int | None = None,
        stop: int = 0,
        clip: bool = True,
    ) -> Images:
        """x_stop from x_start; start None means T. With stop 0 these are finished images."""


def ancestral(
    predict: Predictor,
    schedule: Schedule,
    x: Images,
    keys: jax.Array,
    *,
    variance: Variance,
    start: int | None = None,
    stop: int = 0,
    clip: bool = True,
) -> Images:
    """Draws x_{t-1} ~ p(x_{t-1} | x_t) for t = start … stop + 1 (DDPM, Algorithm 2).

    Stopped at s > 0 it returns z_s of truncated conditioning augmentation (the paper's
    Algorithm 2, lines 2 and 3): noisy and not clipped. No noise is added in the step to x_0.

    Args:
        predict: see the module. schedule: the steps to take, all or respaced.
        x: x_start [b, h, w, c]; x_T is standard normal. keys: [b].
        variance: of p(x_{t-1} | x_t).
        start, stop: the steps to start from (None: T) and to stop at, indices of this schedule.
        clip: whether to clip the predicted x_0 to [-1, 1] at every step.
    """
    first = schedule.timesteps if start is None else start
    shape = x.shape[1:]

    def step(i: jax.Array, x_t: Images) -> Images:
        t = first - i
        eps_pred, v = predict(x_t, t)
        mean, _ = diffusion.p_mean(schedule, x_t, t, eps_pred, clip=clip)
        deviation = jnp.exp(0.5 * diffusion.log_variance(schedule, variance, t, v))
        noise = diffusion.per_image_normal(_step_keys(keys, schedule, t), shape)
        return jnp.where(t == 1, mean, mean + deviation * noise)

    return jax.lax.fori_loop(0, first - stop, step, x)


def ddim(
    predict: Predictor,
    schedule: Schedule,
    x: Images,
    keys: jax.Array,
    *,
    variance: Variance = "fixed_small",
    start: int | None = None,
    stop: int = 0,
    clip: bool = True,
    eta: float = 0.0,
) -> Images:
    """The implicit sampler of Song et al. 2021 (DDIM, Eq. 12): deterministic for eta = 0.

    `variance` plays no part: eta scales the posterior's. Otherwise as `ancestral`.
    """
    first = schedule.timesteps if start is None else start
    shape = x.shape[1:]

    def step(i: jax.Array, x_t: Images) -> Images:
        t = first - i
        eps_pred, _ = predict(x_t, t)
        x_0 = diffusion.predict_x_0(schedule, x_t, t, eps_pred)
        if clip:
            x_0 = jnp.clip(x_0, -1.0, 1.0)
            eps_pred = diffusion.predict_eps(schedule, x_t, t, x_0)
        sigma = eta * jnp.sqrt(diffusion.at(schedule.posterior_variance, t))
        before = diffusion.at(schedule.alpha_bar, t - 1)
        x_before = jnp.sqrt(before) * x_0 + jnp.sqrt(1.0 - before - sigma**2) * eps_pred
        if eta == 0.0:
            return x_before
        noise = diffusion.per_image_normal(_step_keys(keys, schedule, t), shape)
        return jnp.where(t == 1, x_before, x_before + sigma * noise)

    return jax.lax.fori_loop(0, first - stop, step, x)


def sampling_schedule(
    schedule: Schedule, steps: int | None, *, stop: int = 0
) -> tuple[Schedule, int]:
    """The schedule to sample with, and the index in it of the step to stop at.

    Args:
        schedule: the trained one.
        steps: how many of its T steps to visit, evenly spaced; None: all.
        stop: the step of the trained schedule to stop at, e.g. the s of truncated augmentation; the
            strided steps above it are kept and it becomes one of them.
    """
    total = schedule.timesteps
    if not 0 <= stop < total:
        raise ValueError(f"cannot stop at step {stop}; expected 0 … {total - 1}")
    if steps is not None and not 1 <= steps <= total:
        raise ValueError(f"cannot take {steps} sampling steps; expected 1 … {total}")
    if steps is None or steps == total:
        return schedule, stop
    kept = strided_steps(total, steps)
    if stop > 0 and stop not in kept:
        kept = sorted([*kept, stop])
    return respace(schedule, kept), 0 if stop == 0 else kept.index(stop) + 1


def sampler(name: str) -> Sampler:
    """The sampler of this name; ValueError lists the known ones."""
    if name not in SAMPLERS:
        raise ValueError(unknown("sampler", name, SAMPLERS))
    return SAMPLERS[name]


def _step_keys(keys: jax.Array, schedule: Schedule, t: jax.Array) -> jax.Array:
    """Keys by the trained process's t, so that branching or stopping leaves the noise the same."""
    time = jnp.asarray(schedule.time, jnp.uint32)[t]
    return jax.vmap(lambda key: jax.random.fold_in(key, time))(keys)


SAMPLERS: dict[str, Callable[..., Images]] = {
    "ancestral": ancestral,
    "ddim": ddim,
}
