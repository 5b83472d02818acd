"""A super-resolution stage, trained on the base stage's pixels (Algorithm 1, lines 8 to 15)."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from cdm import augment, images
from cdm.config import StageConfig
from cdm.data.reader import Split
from cdm.diffusion import Images
from cdm.grids import image_grid
from cdm.mesh import compiler_options
from cdm.nn.functional import Params
from cdm.objective import stage_loss
from cdm.sampling import augment_low_res, image_keys, sample_stage
from cdm.stage import Stage, corrupt_low_res, make_stage
from cdm.training.loop import Task
from cdm.training.state import Batch

PREVIEW_IMAGES = 10
# A preview shows the stage at no noise and at a quarter of the augmentation's steps.
PREVIEW_LEVELS = (0.0, 0.25)


def make_task(config: StageConfig, split: Split) -> Task:
    """The loss and the previews of an SR stage; ValueError for settings that make none."""
    stage = make_stage(config)

    def loss(params: Params, batch: Batch, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        flip_key, augment_key, loss_key = jax.random.split(key, 3)
        x_0 = images.from_uint8(batch["image"])
        z_0 = images.from_uint8(batch["low_res"])
        if config.augment.flip:
            flips = augment.random_flips(flip_key, x_0.shape[0])
            x_0, z_0 = augment.flip(x_0, flips), augment.flip(z_0, flips)
        z, s = augment_conditioning(stage, augment_key, z_0)
        return stage_loss(stage, params, loss_key, x_0, batch["label"], z, s)

    return Task(stage, loss, _previews(stage, split))


def augment_conditioning(
    stage: Stage, key: jax.Array, z_0: Images
) -> tuple[Images, jax.Array | None]:
    """Conditioning augmentation of a training batch (Section 3), at the low resolution.

    Gaussian (Algorithm 1, lines 10 to 12): s uniform in 1 … T, drawn apart from t, and
    z_s ~ q(z_s | z_0). Blur: half of the images, each by its own sigma.

    Returns:
        The low-res input of the network, and s, int32 [b], for Gaussian augmentation.
    """
    settings = stage.config.augment
    if settings.conditioning == "gaussian":
        s_key, noise_key = jax.random.split(key)
        s = jax.random.randint(s_key, (z_0.shape[0],), 1, settings.timesteps + 1)
        return corrupt_low_res(stage, z_0, s, jax.random.normal(noise_key, z_0.shape)), s
    if settings.conditioning == "blur":
        blurred = augment.random_blur(key, z_0, settings.blur_sigma, settings.blur_probability)
        return blurred, None
    return z_0, None


def _previews(stage: Stage, split: Split) -> Callable[[Params], Image.Image]:
    config = stage.config
    low_res, resolution = config.model.low_res, config.model.resolution
    assert low_res is not None
    # Spread over the split, so that several classes are seen even where it is sorted.
    rows = np.linspace(0, len(split) - 1, min(PREVIEW_IMAGES, len(split))).astype(np.int64)
    small, labels = split.read(rows, low_res)
    real, _ = split.read(rows, resolution)
    gaussian = stage.augment_schedule is not None
    levels = [round(f * config.augment.timesteps) for f in PREVIEW_LEVELS] if gaussian else [0]

    @functools.partial(jax.jit, compiler_options=compiler_options())
    def sample(ema: Params, s: jax.Array) -> jax.Array:
        keys = image_keys(config.train.seed, range(len(rows)), resolution)
        z = images.from_uint8(jnp.asarray(small))
        if gaussian:
            z = augment_low_res(stage, keys, z, s)
        steps = min(config.train.preview_steps, stage.schedule.timesteps)
        made = sample_stage(stage, ema, keys, jnp.asarray(labels), z=z, s=s, steps=steps)
        return images.to_uint8(made.x_0)

    def preview(ema: Params) -> Image.Image:
        """Low-res inputs of the data, what is made of them at each level, and the real images."""
        made = [np.asarray(sample(ema, jnp.int32(s))) for s in levels]
        names = [f"s = {s}" for s in levels] if gaussian else ["output"]
        return image_grid(
            [list(small), *[list(batch) for batch in made], list(real)],
            cell=max(64, resolution),
            row_labels=["low-res", *names, "real"],
        )

    return preview
