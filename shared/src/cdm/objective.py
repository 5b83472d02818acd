"""The training objective of a stage: Algorithm 1 after the batch and its augmentation are drawn."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from cdm import diffusion, losses
from cdm.diffusion import Images
from cdm.nn.functional import Params
from cdm.stage import Stage, predict, step_time


def stage_loss(
    stage: Stage,
    params: Params,
    key: jax.Array,
    x_0: Images,
    label: Int[Array, " b"],
    z: Images | None = None,
    s: Int[Array, " b"] | None = None,
) -> tuple[Float[Array, " b"], Float[Array, " b"]]:
    """The loss of each image at a step drawn for it (Algorithm 1, lines 3 to 6 and 10 to 14).

    Args:
        key: draws t, the noise and dropout. x_0: images in [-1, 1].
        z: the low-res input, already augmented; s: its noise level, for Gaussian augmentation.

    Returns:
        The losses, and where in (0, 1] of the forward process each was taken (t / T).
    """
    t_key, level_key, noise_key, dropout_key = jax.random.split(key, 4)
    b = x_0.shape[0]
    T = stage.schedule.timesteps
    t = jax.random.randint(t_key, (b,), 1, T + 1)
    eps = jax.random.normal(noise_key, x_0.shape)
    if stage.config.diffusion.noise_conditioning == "alpha_bar":
        root = continuous_root_alpha_bar(stage, level_key, t)
        column = root[:, None, None, None]
        x_t = column * x_0 + jnp.sqrt(1.0 - jnp.square(column)) * eps
        time = 1000.0 * root
    else:
        x_t = diffusion.q_sample(stage.schedule, x_0, t, eps)
        time = step_time(stage, stage.schedule, t)
    key_or_none = dropout_key if stage.config.model.dropout > 0.0 else None
    eps_pred, v = predict(stage, params, x_t, time, label, z, s, dropout_key=key_or_none)
    loss = losses.diffusion_loss(
        stage.config.diffusion, stage.schedule, x_0, x_t, t, eps, eps_pred, v
    )
    return loss, t / T


def continuous_root_alpha_bar(
    stage: Stage, key: jax.Array, t: Int[Array, " b"]
) -> Float[Array, " b"]:
    """sqrt(alpha_bar) uniform between its values at t and t - 1 (WaveGrad, Section 3.2; SR3)."""
    table = jnp.asarray(np.sqrt(stage.schedule.alpha_bar), jnp.float32)
    fraction = jax.random.uniform(key, t.shape)
    return table[t] + fraction * (table[t - 1] - table[t])
