"""The training loop: one for every stage, read from top to bottom."""

import contextlib
import functools
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image
from rich.console import Console

from cdm import config as configs
from cdm.config import StageConfig
from cdm.data.batches import batches
from cdm.data.dataset import DatasetInfo
from cdm.data.reader import Split, open_split
from cdm.files import write_json
from cdm.mesh import check_batch, compiler_options, make_mesh, put_batch, replicated
from cdm.nn.functional import Params
from cdm.stage import Stage
from cdm.training.checkpoint import CONFIG, Checkpoints, find, finished_steps, load_config
from cdm.training.report import Report
from cdm.training.state import Loss, TrainState, init_state, train_step


@dataclass(frozen=True, eq=False)
class Task:
    """What a kind of stage brings to the loop.

    Attributes:
        stage: the network and its schedules. loss: of a batch (see `cdm.training.state.Loss`).
        preview: a picture of samples from averaged parameters; takes nothing else, so that it
            cannot disturb the training's randomness.
    """

    stage: Stage
    loss: Loss
    preview: Callable[[Params], Image.Image]


class TrainingDiverged(ValueError):
    """The loss or its gradient is no number any more."""


def train(make_task: Callable[[StageConfig, Split], Task], config: StageConfig, run: Path) -> int:
    """Trains a stage, or goes on with it; returns the step it stopped at.

    The same call resumes: the result equals that of an unbroken run bit for bit on the same
    devices. An interrupt (Ctrl-C, SIGTERM) saves and returns early.

    Raises:
        ValueError: the run has another config or other data, the data do not fit the stage, the
            loss diverged.
        OSError: a checkpoint could not be written; those before it are intact.
    """
    console = Console(stderr=True)
    mesh = make_mesh()
    check_batch(mesh, config.train.batch_size)

    # 1. What the run was started with decides; only logistics may differ (configs.RESUMABLE).
    check_resumable(run, config)
    # 2. The data must be what the stage is for.
    with open_data(config) as split:
        data = describe_data(split.info)
        check_same_data(run, data, config.data.path)
        task = make_task(config, split)
        # 3. The folder, once nothing can be wrong with the request any more.
        write_json(run / CONFIG, configs.to_dict(config))
        checkpoints = Checkpoints(run, config.train)
        try:
            # 4. The newest finished checkpoint, or a fresh state; both on all devices.
            state = _start(task, config, checkpoints, replicated(mesh))
            # 5. The batches from that step on: their order is a function of (seed, step).
            return _loop(task, config, run, split, data, mesh, checkpoints, state, console)
        finally:
            checkpoints.close()


def _loop(
    task: Task,
    config: StageConfig,
    run: Path,
    split: Split,
    data: dict[str, Any],
    mesh: jax.sharding.Mesh,
    checkpoints: Checkpoints,
    state: TrainState,
    console: Console,
) -> int:
    t = config.train
    step = int(state.step)
    step_function = jax.jit(
        functools.partial(train_step, task.loss, config.optim, t.seed),
        donate_argnums=0,
        compiler_options=compiler_options(),
    )
    stream = batches(
        split,
        resolution=config.model.resolution,
        low_resolution=config.model.low_res,
        batch_size=t.batch_size,
        seed=t.seed,
        start_step=step,
        shard=(jax.process_index(), jax.process_count()),
    )
    window = _Window(t.batch_size)
    with (
        contextlib.closing(stream),
        Report(run, step, t.steps, console) as report,
        _stop_signals() as stop_requested,
    ):
        report.say(f"{config.name}: step {step} of {t.steps}, in {run}")
        saved = step if step > 0 else None
        while step < t.steps and not stop_requested():
            started = time.monotonic()
            batch = put_batch(mesh, next(stream))
            window.waited += time.monotonic() - started
            state, figures = step_function(state, batch)
            step += 1
            # Reading a figure waits for the step; the next batch is read ahead meanwhile.
            window.add(figures)
            if (wrong := window.not_finite()) is not None:
                checkpoints.finish()  # one of an earlier step may still be on its way to the disk
                raise TrainingDiverged(_diverged(step, *wrong, checkpoints.latest(), run))
            report.advance(step)
            if step % t.log_every == 0 or step == t.steps:
                report.figures(step, window.close())
            if step % t.preview_every == 0 or step == t.steps:
                report.preview(step, task.preview(state.ema))
                window.restart_clock()
            if step % t.checkpoint_every == 0 or step == t.steps:
                checkpoints.save(state, config, data)
                saved = step
        if saved != step and step > 0:
            checkpoints.save(state, config, data)
        checkpoints.finish()
        if step < t.steps:
            report.say(f"stopped and saved at step {step}; the same command goes on from there")
        else:
            report.say(f"finished at step {step}")
    return step


def check_resumable(run: Path, config: StageConfig) -> None:
    """Refuses to go on with a run under other settings than it was started with."""
    if not (run / CONFIG).exists():
        if run.exists() and any(run.iterdir()):
            raise ValueError(
                f"{run} is not empty and not a run (it has no {CONFIG}); choose a new folder"
            )
        return
    rows = [
        f"  {name}: {old} in the run, {new} now"
        for name, old, new in configs.differences(load_config(run), config)
        if name not in configs.RESUMABLE
    ]
    if rows:
        raise ValueError(
            f"{run} was started with other settings:\n" + "\n".join(rows) + "\n"
            "use those, or another --run folder"
        )


def check_same_data(run: Path, data: Mapping[str, Any], path: str) -> None:
    """Refuses to go on with a run on other images than it was started with.

    The folder may have another name or place: the digest of its list of images decides.
    """
    if not finished_steps(run):
        return
    before = find(run).data
    if before["source"].get("digest") != data["source"].get("digest"):
        raise ValueError(
            f"{run} was started with other data: {_which(before)}; {path} holds {_which(data)}. "
            "Give --data the folder of the former, or another --run folder"
        )


def _which(data: Mapping[str, Any]) -> str:
    digest = str(data["source"].get("digest"))
    return f"{data['name']}, {data['num_examples']:,} images, digest {digest[:12]}"


@contextlib.contextmanager
def open_data(config: StageConfig) -> Iterator[Split]:
    """The stage's records; ValueError if they do not fit its settings."""
    m = config.model
    if not config.data.path:
        raise ValueError("no data set: give --data DIR, a folder made by cdm-data-prep")
    resolutions = (m.resolution,) if m.low_res is None else (m.low_res, m.resolution)
    split = open_split(config.data.path, config.data.split, resolutions)
    with contextlib.closing(split):
        classes = split.info.num_classes
        if m.num_classes is not None and m.num_classes != classes:
            raise ValueError(
                f"{config.data.path} has {classes} classes, but model.num_classes is "
                f"{m.num_classes}; say --set model.num_classes={classes if classes > 1 else 'none'}"
            )
        yield split


def describe_data(info: DatasetInfo) -> dict[str, Any]:
    """What a checkpoint remembers of its data set."""
    return {
        "name": info.name,
        "class_names": list(info.class_names),
        "num_examples": info.num_examples,
        "source": dict(info.source),
    }


def _start(task: Task, config: StageConfig, checkpoints: Checkpoints, sharding: Any) -> TrainState:
    def fresh() -> TrainState:
        return init_state(task.stage.network.init, config.optim, config.train.seed)

    step = checkpoints.latest()
    if step is None:
        return jax.jit(fresh, out_shardings=sharding)()
    abstract = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding),
        jax.eval_shape(fresh),
    )
    return checkpoints.restore(step, abstract)


class _Window:
    """The figures since the last log line."""

    def __init__(self, batch_size: int):
        self.batch_size = batch_size
        self._clear()

    def _clear(self) -> None:
        self.started = time.monotonic()
        self.waited = 0.0
        self.lost = 0.0
        self.rows: list[dict[str, np.ndarray]] = []

    def add(self, figures: dict[str, jax.Array]) -> None:
        self.rows.append({name: np.asarray(value) for name, value in figures.items()})
        self.finished = time.monotonic()

    def not_finite(self) -> tuple[str, float] | None:
        """Which figure of the last step is no number, and its value; None if all is well.

        A gradient may overflow where the loss does not, and ruins the parameters all the same.
        """
        for name, what in (("loss", "loss"), ("grad_norm", "gradient's norm")):
            value = float(self.rows[-1][name])
            if not math.isfinite(value):
                return what, value
        return None

    def restart_clock(self) -> None:
        """Leaves the time since the last step out of the speed."""
        self.lost += time.monotonic() - self.finished

    def close(self) -> dict[str, float]:
        """The means since the last call."""
        seconds = max(time.monotonic() - self.started - self.lost, 1e-9)
        sums = np.sum([row["quartile_sum"] for row in self.rows], axis=0)
        counts = np.sum([row["quartile_count"] for row in self.rows], axis=0)
        figures = {
            "loss": float(np.mean([row["loss"] for row in self.rows])),
            "grad_norm": float(np.mean([row["grad_norm"] for row in self.rows])),
            "images_per_second": len(self.rows) * self.batch_size / seconds,
            "input_wait": self.waited / seconds,
        }
        for i in range(4):
            if counts[i] > 0:
                figures[f"loss_q{i}"] = float(sums[i] / counts[i])
        self._clear()
        return figures


def _diverged(step: int, what: str, value: float, last: int | None, run: Path) -> str:
    kept = (
        "no checkpoint was made"
        if last is None
        else f"the checkpoint of step {last} in {run} is from before it"
    )
    return (
        f"the {what} became {value} at step {step}; {kept}. Try a lower learning rate "
        "(--set optim.learning_rate=…), gradient clipping (--set optim.grad_clip=1) or a longer "
        "warm-up (--set optim.warmup_steps=…), in a new --run folder"
    )


@contextlib.contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM came; a second Ctrl-C interrupts at once."""
    received: list[int] = []

    def note(number: int, _: Any) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    previous = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
