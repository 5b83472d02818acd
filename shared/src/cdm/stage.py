"""A stage: its config made into a network, a noise schedule and what the one feeds the other."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from cdm import diffusion
from cdm.config import StageConfig
from cdm.diffusion import Images, Steps
from cdm.nn.functional import Network, Params
from cdm.nn.unet import make_unet
from cdm.schedules import Schedule, make_schedule

# A prediction of the noise, and of v where the variance is learned.
Prediction = tuple[Images, Images | None]


@dataclass(frozen=True, eq=False)
class Stage:
    """What training and sampling need of a stage.

    Attributes:
        schedule: the forward process of its images, with the T it is trained with.
        augment_schedule: the process that carries z_0 to z_s; None without Gaussian augmentation.
    """

    config: StageConfig
    network: Network
    schedule: Schedule
    augment_schedule: Schedule | None

    @property
    def learned(self) -> bool:
        """Whether the network predicts the variance too."""
        return self.config.diffusion.variance == "learned"


def make_stage(config: StageConfig) -> Stage:
    """Builds a stage; settings that contradict each other raise ValueError."""
    d, a = config.diffusion, config.augment
    if d.loss == "hybrid" and d.variance != "learned":
        raise ValueError(
            "diffusion.loss hybrid trains a learned variance, but diffusion.variance is "
            f"{d.variance}"
        )
    if d.variance == "learned" and d.loss == "simple":
        raise ValueError("diffusion.variance learned is trained by diffusion.loss hybrid only")
    if config.kind == "base" and a.conditioning != "none":
        raise ValueError(
            f"augment.conditioning {a.conditioning} needs a low-res input; a base stage has none"
        )
    if config.kind == "sr" and config.model.resolution % config.model.low_res != 0:  # type: ignore
        raise ValueError(
            f"model.resolution {config.model.resolution} is no multiple of "
            f"model.low_res {config.model.low_res}"
        )
    gaussian = a.conditioning == "gaussian"
    return Stage(
        config=config,
        network=make_unet(
            config.model, outputs=6 if d.variance == "learned" else 3, level_input=gaussian
        ),
        schedule=make_schedule(d.schedule, d.timesteps, d.beta_start, d.beta_end),
        augment_schedule=(
            make_schedule(a.schedule, a.timesteps, a.beta_start, a.beta_end) if gaussian else None
        ),
    )


def step_time(stage: Stage, schedule: Schedule, t: Steps) -> Float[Array, " b"]:
    """The number that the network embeds for step t of a (perhaps respaced) schedule.

    1000 t / T for networks conditioned on the timestep, 1000 sqrt(alpha_bar_t) for those
    conditioned on the noise level.
    """
    if stage.config.diffusion.noise_conditioning == "alpha_bar":
        table = 1000.0 * np.sqrt(schedule.alpha_bar)
    else:
        table = 1000.0 * schedule.time / schedule.trained_timesteps
    return jnp.asarray(table, jnp.float32)[jnp.atleast_1d(t)]


def level_time(stage: Stage, s: Steps) -> Float[Array, " b"]:
    """The number that an SR network embeds for the level s of its low-res input: 1000 s / T."""
    assert stage.augment_schedule is not None
    return 1000.0 * jnp.atleast_1d(s).astype(jnp.float32) / stage.augment_schedule.timesteps


def network_output(
    stage: Stage,
    params: Params,
    x_t: Images,
    time: Float[Array, " b"],
    label: Int[Array, " b"],
    z: Images | None = None,
    s: Int[Array, " b"] | None = None,
    dropout_key: jax.Array | None = None,
) -> tuple[Images, Images | None]:
    """What the network says of x_t, and v in [-1, 1] where the variance is learned.

    Args:
        time: from `step_time`, one number for each image.
        z: the low-res input as the augmentation left it.
        s: its noise level, for Gaussian augmentation.
    """
    level = None if stage.augment_schedule is None else level_time(stage, s)  # type: ignore[arg-type]
    raw = stage.network.apply(
        params, x_t, time, label=label, low_res=z, level=level, dropout_key=dropout_key
    )
    if not stage.learned:
        return raw, None
    output, v = jnp.split(raw, 2, axis=-1)
    return output, v


def predict(
    stage: Stage,
    schedule: Schedule,
    params: Params,
    x_t: Images,
    t: Steps,
    label: Int[Array, " b"],
    z: Images | None = None,
    s: Int[Array, " b"] | None = None,
) -> Prediction:
    """The noise in x_t, and v, at step t (for all images) of a perhaps respaced schedule."""
    time = jnp.broadcast_to(step_time(stage, schedule, t), (x_t.shape[0],))
    output, v = network_output(stage, params, x_t, time, label, z, s)
    root, deviation = diffusion.root_alpha_bar(schedule, t), diffusion.deviation_of(schedule, t)
    kind = stage.config.diffusion.prediction
    return diffusion.eps_from_output(kind, root, deviation, x_t, output), v


def corrupt_low_res(stage: Stage, z_0: Images, s: Steps, noise: Images) -> Images:
    """z_s ~ q(z_s | z_0) for stages with Gaussian augmentation (Algorithm 1, line 12)."""
    assert stage.augment_schedule is not None
    return diffusion.q_sample(stage.augment_schedule, z_0, s, noise)


Predictor = Callable[[Images, Steps], Prediction]
