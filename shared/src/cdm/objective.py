"""The training objective of a stage: Algorithm 1 after the batch and its augmentation are drawn."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from cdm import diffusion, losses
from cdm.diffusion import Images
from cdm.nn.functional import Params
from cdm.stage import Stage, network_output, step_time


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
    d = stage.config.diffusion
    t = jax.random.randint(t_key, (x_0.shape[0],), 1, stage.schedule.timesteps + 1)
    eps = jax.random.normal(noise_key, x_0.shape)
    if d.noise_conditioning == "alpha_bar":
        root = continuous_root_alpha_bar(stage, level_key, t)
        deviation = jnp.sqrt(1.0 - jnp.square(root))
        time = 1000.0 * root[:, 0, 0, 0]
    else:
        root = diffusion.root_alpha_bar(stage.schedule, t)
        deviation = diffusion.deviation_of(stage.schedule, t)
        time = step_time(stage, stage.schedule, t)
    x_t = root * x_0 + deviation * eps
    output, v = network_output(
        stage,
        params,
        x_t,
        time,
        label,
        z,
        s,
        dropout_key=dropout_key if stage.config.model.dropout > 0.0 else None,
    )
    loss = losses.simple_loss(diffusion.target(d.prediction, root, deviation, x_0, eps), output)
    if d.loss == "hybrid":
        assert v is not None
        eps_pred = diffusion.eps_from_output(d.prediction, root, deviation, x_t, output)
        loss = loss + losses.hybrid_term(stage.schedule, x_0, x_t, t, eps_pred, v)
    return loss, t / stage.schedule.timesteps


def continuous_root_alpha_bar(
    stage: Stage, key: jax.Array, t: Int[Array, " b"]
) -> Float[Array, "b 1 1 1"]:
    """sqrt(alpha_bar) uniform between its values at t and t - 1 (WaveGrad, Section 3.2; SR3)."""
    table = jnp.asarray(np.sqrt(stage.schedule.alpha_bar), jnp.float32)
    fraction = jax.random.uniform(key, t.shape)
    return (table[t] + fraction * (table[t - 1] - table[t]))[:, None, None, None]
