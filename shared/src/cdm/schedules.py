"""Noise schedules: float64 tables on the host, one entry for each step of the forward process.

Tables are indexed by the paper's t: entry 0 is the clean image (alpha_bar 1), entries 1 to T are
the steps. Everything is computed in float64 and turned into float32 where it meets an image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Schedule:
    """A forward process q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t I), t = 1 … T.

    Attributes:
        beta, alpha_bar: float64 [T + 1]; beta[0] = 0, alpha_bar[0] = 1.
        posterior_variance: float64 [T + 1], the variance of q(x_{t-1} | x_t, x_0); 0 at t <= 1.
        posterior_log_variance: its logarithm, with the 0 at t = 1 replaced by the value at t = 2.
        posterior_mean_x0, posterior_mean_xt: float64 [T + 1], the weights of x_0 and x_t in the
            mean of q(x_{t-1} | x_t, x_0).
        time: float64 [T + 1], the step's t in the process that the network was trained with
            (differs from the index after `respace`).
        trained_timesteps: the T of that process.
    """

    beta: np.ndarray
    alpha_bar: np.ndarray
    posterior_variance: np.ndarray
    posterior_log_variance: np.ndarray
    posterior_mean_x0: np.ndarray
    posterior_mean_xt: np.ndarray
    time: np.ndarray
    trained_timesteps: int

    @property
    def timesteps(self) -> int:
        """T, the number of steps."""
        return len(self.beta) - 1


def cosine_betas(timesteps: int) -> np.ndarray:
    """The cosine schedule of Improved DDPM (Nichol & Dhariwal 2021, Eq. 17): float64 [T].

    alpha_bar(u) = cos^2((u + 0.008) / 1.008 * pi / 2), beta_t at most 0.999.
    """
    u = np.arange(timesteps + 1, dtype=np.float64) / timesteps
    alpha_bar = np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.minimum(1.0 - alpha_bar[1:] / alpha_bar[:-1], 0.999)


def linear_betas(
    timesteps: int, start: float | None = None, end: float | None = None
) -> np.ndarray:
    """Betas evenly spaced from `start` to `end`: float64 [T].

    The default is DDPM's 1e-4 to 0.02 at T = 1000 (Ho et al. 2020), rescaled to other T.
    """
    scale = 1000.0 / timesteps
    start = scale * 1e-4 if start is None else start
    end = scale * 0.02 if end is None else end
    if not 0.0 < start <= end < 1.0:
        raise ValueError(
            f"linear schedule: betas from {start:g} to {end:g} with T = {timesteps}; "
            "expected 0 < beta_start <= beta_end < 1"
        )
    return np.linspace(start, end, timesteps, dtype=np.float64)


def make_schedule(
    kind: str, timesteps: int, beta_start: float | None = None, beta_end: float | None = None
) -> Schedule:
    """The schedule that a DiffusionConfig or an AugmentConfig names ("cosine" or "linear")."""
    if timesteps < 2:
        raise ValueError(f"a schedule needs at least 2 timesteps, got {timesteps}")
    if kind == "cosine":
        betas = cosine_betas(timesteps)
    elif kind == "linear":
        betas = linear_betas(timesteps, beta_start, beta_end)
    else:
        raise ValueError(f"unknown schedule '{kind}'; known: cosine, linear")
    return from_betas(betas)


def from_betas(betas: np.ndarray) -> Schedule:
    """All tables of the process with these betas (float64 [T]; beta_t at position t - 1)."""
    beta = np.concatenate([[0.0], np.asarray(betas, np.float64)])
    return _tables(
        beta=beta,
        alpha_bar=np.cumprod(1.0 - beta),
        time=np.arange(len(beta), dtype=np.float64),
        trained_timesteps=len(betas),
    )


def respace(schedule: Schedule, kept: Sequence[int]) -> Schedule:
    """The process that visits only the steps `kept` (ascending, each in 1 … T) of another.

    alpha_bar at the kept steps is unchanged, so that a network trained on all steps can be used;
    `time` says which of its steps each entry is (Improved DDPM, Section 4).
    """
    steps = np.asarray(kept, np.int64)
    if len(steps) == 0 or (np.diff(steps) <= 0).any() or steps[0] < 1:
        raise ValueError(f"steps to keep must ascend from 1 or more, got {list(steps)}")
    if steps[-1] > schedule.timesteps:
        raise ValueError(f"step {steps[-1]} is past the last one, {schedule.timesteps}")
    index = np.concatenate([[0], steps])
    alpha_bar = schedule.alpha_bar[index]
    return _tables(
        beta=np.concatenate([[0.0], 1.0 - alpha_bar[1:] / alpha_bar[:-1]]),
        alpha_bar=alpha_bar,
        time=schedule.time[index],
        trained_timesteps=schedule.trained_timesteps,
    )


def strided_steps(timesteps: int, counts: int | Sequence[int]) -> list[int]:
    """Steps to keep: each of `len(counts)` equal sections of 1 … T gives that many of its steps.

    Within a section the first and the last step are kept and the others evenly spaced, as in
    Improved DDPM's released code (which counts from 0).
    """
    sections = [counts] if isinstance(counts, int) else list(counts)
    size, extra = divmod(timesteps, len(sections))
    steps: list[int] = []
    start = 1
    for position, count in enumerate(sections):
        length = size + (position < extra)
        if not 1 <= count <= length:
            raise ValueError(f"cannot take {count} steps out of {length}; expected 1 … {length}")
        stride = (length - 1) / (count - 1) if count > 1 else 1.0
        steps += [start + round(stride * i) for i in range(count)]
        start += length
    # A single step must be the last one: sampling starts from pure noise.
    return [timesteps] if sections == [1] else steps


def _tables(
    beta: np.ndarray, alpha_bar: np.ndarray, time: np.ndarray, trained_timesteps: int
) -> Schedule:
    before = np.concatenate([[1.0], alpha_bar[:-1]])
    left = np.maximum(1.0 - alpha_bar, np.finfo(np.float64).tiny)  # entry 0 is never divided by
    variance = beta * (1.0 - before) / left
    clipped = variance.copy()
    clipped[: min(2, len(beta))] = variance[2] if len(beta) > 2 else beta[1]
    return Schedule(
        beta=beta,
        alpha_bar=alpha_bar,
        posterior_variance=variance,
        posterior_log_variance=np.log(clipped),
        posterior_mean_x0=beta * np.sqrt(before) / left,
        posterior_mean_xt=(1.0 - before) * np.sqrt(1.0 - beta) / left,
        time=time,
        trained_timesteps=trained_timesteps,
    )
