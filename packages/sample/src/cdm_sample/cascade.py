"""Chaining the stages of a cascade (Algorithm 2), one stage on the device at a time."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from cdm import images
from cdm.mesh import along_batch, compiler_options, make_mesh, replicated
from cdm.nn.functional import Params
from cdm.sampling import Sampled, augment_low_res, image_keys, sample_stage
from cdm.stage import Stage, make_stage
from cdm.training.checkpoint import Trained, load_ema

Variant = Literal["truncated", "non-truncated", "none"]


@dataclass(frozen=True, kw_only=True)
class Link:
    """A trained stage in its place in a cascade.

    Attributes:
        variant: the conditioning augmentation of its low-res input (Sections 3.2 and 3.3); "none"
            for a base stage and for a stage that takes no noise level.
        s: the truncation time, a step of the process that makes z: 0 for a clean input.
        steps: sampling steps; None: as the stage's config says.
    """

    trained: Trained
    variant: Variant = "none"
    s: int = 0
    steps: int | None = None
    method: str = "ancestral"

    @property
    def resolution(self) -> int:
        """Of the images that it makes, in pixels."""
        return self.trained.config.model.resolution


@dataclass(frozen=True)
class StageResult:
    """What one stage made of all images.

    Attributes:
        x_0: float32 [n, h, w, 3] in [-1, 1]. x_branch: z_s for the next stage, or None.
        compile_seconds, seconds: of compiling and of running.
    """

    x_0: np.ndarray
    x_branch: np.ndarray | None
    compile_seconds: float
    seconds: float


def check_cascade(links: Sequence[Link], low_res: int | None) -> None:
    """Refuses stages that do not chain, or augmentation that a stage was not trained for.

    Args:
        low_res: the resolution of given low-res images, None if the first stage is a base stage.

    Raises:
        ValueError: naming the stage, what it has and what it would need.
    """
    for place, link in enumerate(links):
        config = link.trained.config
        name = f"{config.name} ({link.trained.path})"
        before = links[place - 1] if place > 0 else None
        size = before.resolution if before is not None else low_res
        if size is None and config.kind == "sr":
            raise ValueError(
                f"{name} is a super-resolution stage: it needs a --base run before it, or "
                "--low-res images"
            )
        if size is not None and config.kind == "base":
            raise ValueError(f"{name} is a base stage and takes no low-res images")
        if size is not None and config.model.low_res != size:
            raise ValueError(
                f"{name} takes images of {config.model.low_res} pixels, but is given {size}"
            )
        if before is not None:
            theirs = before.trained.config.model.num_classes
            if theirs != config.model.num_classes:
                raise ValueError(
                    f"{name} has {config.model.num_classes} classes, but the stage before it "
                    f"({before.trained.config.name}) has {theirs}"
                )
        _check_augmentation(link, before, name)


def _check_augmentation(link: Link, before: Link | None, name: str) -> None:
    stage = make_stage(link.trained.config)
    if stage.augment_schedule is None:
        if link.s != 0 or link.variant != "none":
            raise ValueError(
                f"{name} was trained without Gaussian conditioning augmentation "
                f"(augment.conditioning {link.trained.config.augment.conditioning}); leave out its "
                "--augmentation and --s"
            )
        return
    timesteps = stage.augment_schedule.timesteps
    if not 0 <= link.s < timesteps:
        raise ValueError(f"--s {link.s} for {name}: expected 0 … {timesteps - 1}")
    if link.variant != "truncated" or link.s == 0:
        return
    if before is None:
        raise ValueError(
            f"{name}: truncated augmentation stops the stage before it at s, and there is none "
            "for given low-res images; use --augmentation non-truncated"
        )
    theirs = make_stage(before.trained.config).schedule
    if not np.array_equal(theirs.alpha_bar, stage.augment_schedule.alpha_bar):
        raise ValueError(
            f"{name} was trained on noise of another process than that of "
            f"{before.trained.config.name} (augment.* against diffusion.*), so that cannot be "
            "stopped at s; use --augmentation non-truncated"
        )


def sample_cascade(
    links: Sequence[Link],
    labels: np.ndarray,
    indices: np.ndarray,
    *,
    seed: int,
    batch_size: int,
    low_res: np.ndarray | None = None,
    progress: Callable[[str, int], None] = lambda *_: None,
) -> Iterator[tuple[Link, StageResult]]:
    """Runs the stages one after the other over all images (Algorithm 2).

    Image i is a function of (seed, indices[i], labels[i]) and the stages, not of the batch.

    Args:
        links: checked by `check_cascade`. labels, indices: int [n].
        low_res: uint8 [n, l, l, 3], the input of the first stage if that is no base stage.
        progress: called with a stage's name and how many images more it has made.
    """
    z_0 = None if low_res is None else np.asarray(images.from_uint8(jnp.asarray(low_res)))
    z_branch: np.ndarray | None = None
    for place, link in enumerate(links):
        following = links[place + 1] if place + 1 < len(links) else None
        branch = following.s if following is not None and following.variant == "truncated" else 0
        result = _run_stage(
            link, labels, indices, z_0, z_branch, branch, seed, batch_size, progress
        )
        yield link, result
        z_0, z_branch = result.x_0, result.x_branch


def _run_stage(
    link: Link,
    labels: np.ndarray,
    indices: np.ndarray,
    z_0: np.ndarray | None,
    z_branch: np.ndarray | None,
    branch: int,
    seed: int,
    batch_size: int,
    progress: Callable[[str, int], None],
) -> StageResult:
    mesh = make_mesh()
    stage = make_stage(link.trained.config)
    params = load_ema(link.trained, stage.network, replicated(mesh))
    # Every batch has the same size, so that the program is compiled once; the last is filled up.
    size = -(-min(batch_size, len(labels)) // mesh.size) * mesh.size
    z = z_0 if z_branch is None else z_branch

    def make(params: Params, index: jax.Array, label: jax.Array, z: jax.Array | None) -> Sampled:
        keys = image_keys(seed, index, link.resolution)
        s = None
        if stage.augment_schedule is not None:
            s = jnp.int32(link.s)
            if link.variant == "non-truncated" and link.s > 0:
                assert z is not None
                z = augment_low_res(stage, keys, z, s)
        return sample_stage(
            stage,
            params,
            keys,
            label,
            z=z,
            s=s,
            steps=link.steps,
            branch=branch,
            method=link.method,
        )

    def batch(start: int) -> tuple:
        rows = np.minimum(np.arange(start, start + size), len(labels) - 1)
        parts = (indices[rows].astype(np.uint32), labels[rows].astype(np.int32))
        arrays = (*parts, None if z is None else z[rows])
        return jax.device_put(arrays, along_batch(mesh))

    started = time.monotonic()
    compiled = jax.jit(make, compiler_options=compiler_options()).lower(params, *batch(0)).compile()
    compile_seconds = time.monotonic() - started

    started = time.monotonic()
    finished, branched = [], []
    for start in range(0, len(labels), size):
        count = min(size, len(labels) - start)
        made = compiled(params, *batch(start))
        finished.append(np.asarray(made.x_0)[:count])
        if made.x_branch is not None:
            branched.append(np.asarray(made.x_branch)[:count])
        progress(link.trained.config.name, count)
    return StageResult(
        np.concatenate(finished),
        np.concatenate(branched) if branched else None,
        compile_seconds,
        time.monotonic() - started,
    )


def noise_level(stage: Stage, s: int) -> str:
    """s in words: the step, and what it means as alpha_bar and as a signal-to-noise ratio."""
    assert stage.augment_schedule is not None
    if s == 0:
        return "s = 0 (clean)"
    alpha_bar = stage.augment_schedule.alpha_bar[s]
    return (
        f"s = {s} of {stage.augment_schedule.timesteps} (alpha_bar {alpha_bar:.3f}, "
        f"SNR {alpha_bar / (1 - alpha_bar):.3g})"
    )
