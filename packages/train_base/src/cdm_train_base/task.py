"""A base stage: noise to low-resolution images (Algorithm 1, lines 1 to 7)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from cdm import augment, images
from cdm.config import StageConfig
from cdm.data.reader import Split
from cdm.grids import square_grid
from cdm.mesh import compiler_options
from cdm.nn.functional import Params
from cdm.objective import stage_loss
from cdm.sampling import image_keys, sample_stage
from cdm.stage import make_stage
from cdm.training.loop import Task
from cdm.training.state import Batch

PREVIEW_IMAGES = 20


def make_task(config: StageConfig, split: Split) -> Task:
    """The loss and the previews of a base stage; ValueError for settings that make none."""
    stage = make_stage(config)

    def loss(params: Params, batch: Batch, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        flip_key, loss_key = jax.random.split(key)
        x_0 = images.from_uint8(batch["image"])
        if config.augment.flip:
            x_0 = augment.flip(x_0, augment.random_flips(flip_key, x_0.shape[0]))
        return stage_loss(stage, params, loss_key, x_0, batch["label"])

    labels = jnp.arange(PREVIEW_IMAGES) % (config.model.num_classes or 1)

    @functools.partial(jax.jit, compiler_options=compiler_options())
    def sample(ema: Params) -> jax.Array:
        keys = image_keys(config.train.seed, range(PREVIEW_IMAGES), config.model.resolution)
        steps = min(config.train.preview_steps, stage.schedule.timesteps)
        return images.to_uint8(sample_stage(stage, ema, keys, labels, steps=steps).x_0)

    def preview(ema: Params) -> Image.Image:
        """One image of each class in turn, always from the same noise."""
        return square_grid(np.asarray(sample(ema)), cell=max(64, config.model.resolution))

    return Task(stage, loss, preview)
