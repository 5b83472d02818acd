"""From the request on the command line to a samples folder."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cdm import images
from cdm.config import unknown
from cdm.data.reader import open_split
from cdm.samplers import sampler
from cdm.stage import make_stage
from cdm.training.checkpoint import Trained, find
from cdm_sample.cascade import Link, StageResult, check_cascade, noise_level, sample_cascade
from cdm_sample.output import already_made, write_samples

# Past this mean absolute difference, in levels of 255, a clean low-res input is not kept to.
CONSISTENCY_WARNING = 8.0

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for; the options of `cdm-sample` under their names."""

    base: str | None
    sr: tuple[str, ...]
    augmentation: tuple[str, ...]
    levels: tuple[int, ...]
    low_res: str | None
    split: str
    num: int
    classes: str | None
    seed: int
    steps: tuple[int, ...]
    sampler: str
    batch_size: int


def run(request: Request, out: Path, *, png: bool) -> None:
    """Samples and writes the folder; ValueError for a request that cannot be met."""
    console = Console(stderr=True)
    links = make_links(request)
    identity = _identity(request, links)
    if already_made(out, identity):
        _say(console, f"{out} holds these samples already; nothing to do")
        return

    class_names = links[0].trained.data["class_names"]
    indices = np.arange(request.num)
    low_res, labels = None, _labels(request, links[-1].trained)
    if request.low_res is not None:
        size = links[0].trained.config.model.low_res
        low_res, labels = _real_low_res(request, size)  # type: ignore[arg-type]
    check_cascade(links, None if low_res is None else low_res.shape[1])
    for link in links:
        _say(console, _describe(link))

    stages: dict[int, np.ndarray] = {}
    if low_res is not None:
        stages[low_res.shape[1]] = low_res
    rows: list[dict[str, Any]] = []
    consistency: list[dict[str, Any]] = []
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        tasks = {link.trained.config.name: None for link in links}

        def advance(name: str, count: int) -> None:
            if tasks[name] is None:
                tasks[name] = progress.add_task(name, total=request.num)  # type: ignore[assignment]
            progress.advance(tasks[name], count)  # type: ignore[arg-type]

        for link, result in sample_cascade(
            links,
            labels,
            indices,
            seed=request.seed,
            batch_size=request.batch_size,
            low_res=low_res,
            progress=advance,
        ):
            made = np.asarray(images.to_uint8(jnp.asarray(result.x_0)))
            if stages:
                consistency.append(_consistency(link, made, stages[max(stages)]))
            stages[link.resolution] = made
            rows.append(_row(link, result))
            _say(console, _speed(link, result))
    for entry in consistency:
        _print_consistency(console, entry)
    description = {
        "request": identity,
        "seed": request.seed,
        "num": request.num,
        "class_names": class_names,
        "rounding": images.ROUNDING,
        "stages": rows,
        "consistency": consistency,
    }
    write_samples(out, stages, labels, indices, class_names, description, png=png)
    _say(console, f"{request.num} images in {out}; look at {out / 'grid.png'}")


def make_links(request: Request) -> list[Link]:
    """Opens the stages and gives each its augmentation, s and steps."""
    if request.base is None and request.low_res is None:
        raise ValueError(
            "nothing to start from: give --base RUN, or --low-res DATA for super-resolution alone"
        )
    if request.base is not None and request.low_res is not None:
        raise ValueError("--base and --low-res were both given; expected one of them")
    if request.low_res is not None and not request.sr:
        raise ValueError("--low-res images need an --sr run to go through")
    sampler(request.sampler)
    runs = [*([request.base] if request.base else []), *request.sr]
    trained = [find(run) for run in runs]
    first = 1 if request.base else 0
    steps = _each("--steps", request.steps, len(runs), None)
    variants = _each("--augmentation", request.augmentation, len(request.sr), None)
    levels = _each("--s", request.levels, len(request.sr), None)
    links = []
    for place, stage in enumerate(trained):
        link = Link(trained=stage, steps=steps[place], method=request.sampler)
        if place >= first:
            variant, s = variants[place - first], levels[place - first]
            asked = request.augmentation or request.levels
            gaussian = stage.config.augment.conditioning == "gaussian"
            if gaussian:
                default = "truncated" if place > 0 else "non-truncated"
                s = stage.config.augment.timesteps // 8 if s is None else s
                link = dataclasses.replace(link, variant=variant or default, s=s)  # type: ignore[arg-type]
            elif asked and len(request.sr) == 1:
                # For the one stage there is, the options were meant; check_cascade says why not.
                link = dataclasses.replace(link, variant=variant or "none", s=s or 0)
        links.append(link)
    return links


def _each(option: str, values: Sequence[T], count: int, default: Any) -> list[Any]:
    """One value for each stage: as given, the only one given for all, or the default."""
    if not values:
        return [default] * count
    if len(values) == 1:
        return list(values) * count
    if len(values) != count:
        raise ValueError(f"{option} was given {len(values)} times for {count} stages; once or each")
    return list(values)


def _labels(request: Request, trained: Trained) -> np.ndarray:
    """Image i gets the i-th of the chosen classes, over and over."""
    names = trained.data["class_names"]
    count = trained.config.model.num_classes or 1
    chosen = list(range(count))
    if request.classes is not None:
        chosen = [_class(text.strip(), names, count) for text in request.classes.split(",")]
    return np.asarray(chosen, np.int64)[np.arange(request.num) % len(chosen)]


def _class(text: str, names: Sequence[str], count: int) -> int:
    # A name first: the classes of digits are called by them.
    if text in names:
        return list(names).index(text)
    if text.isdigit() and int(text) < count:
        return int(text)
    if text.isdigit():
        raise ValueError(f"--classes {text}: expected a class from 0 to {count - 1}, or a name")
    raise ValueError(f"--classes: {unknown('class', text, names)}")


def _real_low_res(request: Request, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Evenly spread real images of the data set at the first stage's low resolution."""
    if request.classes is not None:
        raise ValueError("--classes chooses what a base stage makes; --low-res images have theirs")
    with open_split(request.low_res, request.split, (size,)) as split:  # type: ignore[arg-type]
        if request.num > len(split):
            raise ValueError(
                f"--num {request.num}: {request.low_res} has only {len(split)} images in its "
                f"{request.split} split"
            )
        return split.read(np.linspace(0, len(split) - 1, request.num).astype(np.int64), size)


def _identity(request: Request, links: Sequence[Link]) -> dict[str, Any]:
    """What the images are a function of: the request without what does not change them."""
    values = dataclasses.asdict(request)
    for name in ("batch_size", "base", "sr", "augmentation", "levels", "steps"):
        del values[name]
    values["stages"] = [
        {
            "checkpoint": str(link.trained.path),
            "augmentation": link.variant,
            "s": link.s,
            "steps": link.steps,
        }
        for link in links
    ]
    return values


def _describe(link: Link) -> str:
    config = link.trained.config
    steps = link.steps or config.diffusion.sampling_steps or config.diffusion.timesteps
    text = f"{config.name}: step {link.trained.step:,}, {steps} {link.method} steps"
    if link.variant != "none":
        text += f", {link.variant} augmentation at {noise_level(make_stage(config), link.s)}"
    return text


def _row(link: Link, result: StageResult) -> dict[str, Any]:
    config = link.trained.config
    return {
        "name": config.name,
        "resolution": link.resolution,
        "checkpoint": str(link.trained.path),
        "step": link.trained.step,
        "augmentation": link.variant,
        "s": link.s,
        "sampler": link.method,
        "steps": link.steps or config.diffusion.sampling_steps or config.diffusion.timesteps,
        "compile_seconds": round(result.compile_seconds, 2),
        "seconds": round(result.seconds, 2),
    }


def _speed(link: Link, result: StageResult) -> str:
    return (
        f"{link.trained.config.name}: {len(result.x_0)} images in {result.seconds:.1f} s "
        f"({len(result.x_0) / result.seconds:.1f} images/s), compiled in "
        f"{result.compile_seconds:.1f} s"
    )


def _consistency(link: Link, made: np.ndarray, low_res: np.ndarray) -> dict[str, Any]:
    difference, shift = images.low_res_consistency(made, low_res)
    return {
        "stage": link.trained.config.name,
        "resolution": link.resolution,
        "s": link.s,
        "mean_abs_difference": round(difference, 3),
        "colour_shift": [round(value, 3) for value in shift],
    }


def _print_consistency(console: Console, entry: dict[str, Any]) -> None:
    red, green, blue = entry["colour_shift"]
    _say(
        console,
        f"{entry['stage']}: averaged down, its images differ from their low-res input by "
        f"{entry['mean_abs_difference']:.2f} levels of 255; colours shift by "
        f"{red:+.2f}, {green:+.2f}, {blue:+.2f}",
    )
    if entry["s"] == 0 and entry["mean_abs_difference"] > CONSISTENCY_WARNING:
        _say(
            console,
            f"warning: more than {CONSISTENCY_WARNING:g} levels at s = 0: this stage does not keep "
            "to its input; train it further",
            style="yellow",
        )


def _say(console: Console, text: str, style: str | None = None) -> None:
    """Prints a line. No markup and no line breaks: it may hold paths, which people copy."""
    console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)
