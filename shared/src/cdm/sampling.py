"""Sampling one stage: keys for its images, and the whole chain as one function to compile."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from cdm import diffusion
from cdm.diffusion import Images, Steps
from cdm.nn.functional import Params
from cdm.samplers import sampler, sampling_schedule
from cdm.stage import Prediction, Stage, corrupt_low_res, predict

# What tells the randomness of sampling apart from that of training under the same seed.
STREAM = 2
# Folded into an image's key: 1 … T are the noise of the steps (see cdm.samplers).
INITIAL, AUGMENTATION = 0, 2**32 - 1


def image_keys(seed: int, indices: Sequence[int] | jax.Array, resolution: int) -> jax.Array:
    """One random key for each image of the stage of this resolution.

    A function of (seed, index, resolution): neither the batch nor the number of devices matters.
    """
    root = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), STREAM), resolution)
    return jax.vmap(lambda i: jax.random.fold_in(root, i))(jnp.asarray(indices, jnp.uint32))


class Sampled(NamedTuple):
    """What one stage made.

    Attributes:
        x_0: the images, [b, h, w, 3] in [-1, 1].
        x_branch: the same chains at the step asked for, noisy and not clipped; None if not asked.
    """

    x_0: Images
    x_branch: Images | None


def sample_stage(
    stage: Stage,
    params: Params,
    keys: jax.Array,
    label: Int[Array, " b"],
    *,
    z: Images | None = None,
    s: Steps | None = None,
    steps: int | None = None,
    branch: int = 0,
    method: str = "ancestral",
) -> Sampled:
    """Images of one stage; a pure function to be compiled whole.

    Args:
        params: the averaged parameters. keys: from `image_keys`, [b].
        z: the low-res input as it goes into the network: z_s for Gaussian augmentation.
        s: its level, int32 [b] or scalar (0 for a clean input).
        steps: how many steps to take; None: as the config says.
        branch: the trained step whose state is wanted too: z_s of the next stage's truncated
            augmentation (Algorithm 2, lines 2 and 3). The chain goes on from there to x_0, so that
            what the next stage was given can be looked at. 0 for none.
        method: a name of `cdm.samplers.SAMPLERS`.
    """
    config = stage.config
    steps = config.diffusion.sampling_steps if steps is None else steps
    schedule, middle = sampling_schedule(stage.schedule, steps, stop=branch)
    b = label.shape[0]
    if s is not None:
        s = jnp.broadcast_to(jnp.asarray(s, jnp.int32), (b,))

    def predictor(x_t: Images, t: Steps) -> Prediction:
        return predict(stage, schedule, params, x_t, t, label, z, s)

    def run(x: Images, start: int | None, stop: int) -> Images:
        variance = config.diffusion.variance
        return sampler(method)(
            predictor, schedule, x, keys, variance=variance, start=start, stop=stop
        )

    x_T = _normal(keys, INITIAL, config.model.resolution)
    if branch == 0:
        return Sampled(run(x_T, None, 0), None)
    x_branch = run(x_T, None, middle)
    return Sampled(run(x_branch, middle, 0), x_branch)


def augment_low_res(stage: Stage, keys: jax.Array, z_0: Images, s: Steps) -> Images:
    """z_s ~ q(z_s | z_0) of non-truncated augmentation (Algorithm 2, line 10); z_0 itself at s = 0.

    Args:
        stage: the super-resolution stage that z is for. keys: those of its images, [b].
    """
    noise = _normal(keys, AUGMENTATION, z_0.shape[1])
    return corrupt_low_res(stage, z_0, s, noise)


def _normal(keys: jax.Array, purpose: int, resolution: int) -> Images:
    """Standard normal [b, resolution, resolution, 3] from each image's key."""
    own = jax.vmap(lambda key: jax.random.fold_in(key, jnp.uint32(purpose)))(keys)
    return diffusion.per_image_normal(own, (resolution, resolution, 3))
