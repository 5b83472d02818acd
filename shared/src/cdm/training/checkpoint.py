"""Checkpoints of a stage. Orbax is used here and nowhere else.

A checkpoint has four parts: `ema` (the averaged parameters: all that sampling reads), `training`
(the parameters, the optimizer's state and the step), `config` and `data` (JSON: what was trained
on what).
"""

import contextlib
import errno
import logging
import os
import re
import shutil
import sys
import traceback
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from cdm import config as configs
from cdm.config import StageConfig, TrainConfig
from cdm.files import read_json
from cdm.nn.functional import Network, Params
from cdm.training.state import TrainState

FORMAT_VERSION = 1
FOLDER = "checkpoints"
CONFIG = "config.json"


class Checkpoints:
    """The checkpoints of one run, written in the background.

    Args:
        run: the run's folder. keep: how the config says to thin them out.
    """

    def __init__(self, run: Path, keep: TrainConfig):
        self.folder = run.absolute() / FOLDER
        self.manager = ocp.CheckpointManager(
            self.folder,
            item_names=("ema", "training", "config", "data"),
            options=ocp.CheckpointManagerOptions(
                max_to_keep=keep.keep_checkpoints,
                keep_period=keep.keep_every,
                # Left over by a killed save: such a folder never gets its final name.
                cleanup_tmp_directories=True,
            ),
        )
        self._failed = False
        self._quiet = contextlib.ExitStack()
        self._quiet.enter_context(_told_once())

    def latest(self) -> int | None:
        """The step of the newest finished checkpoint."""
        return self.manager.latest_step()

    def save(self, state: TrainState, config: StageConfig, data: Mapping[str, Any]) -> None:
        """Starts to write a checkpoint; an earlier one still being written is finished first.

        Raises:
            OSError: this or the earlier one could not be written.
        """
        step = int(state.step)
        training = {
            "step": state.step,
            "params": state.params,
            "opt_state": state.opt_state,
        }
        json = {"format_version": FORMAT_VERSION, **configs.to_dict(config)}
        with self._write_errors():
            self.manager.wait_until_finished()
            self._check_space(state)
            self.manager.save(
                step,
                args=ocp.args.Composite(
                    ema=ocp.args.StandardSave(state.ema),
                    training=ocp.args.StandardSave(training),
                    config=ocp.args.JsonSave(json),
                    data=ocp.args.JsonSave(dict(data)),
                ),
            )

    def restore(self, step: int, abstract: TrainState) -> TrainState:
        """The state of a checkpoint, laid out as `abstract` (shapes, types, shardings) says."""
        training = {
            "step": abstract.step,
            "params": abstract.params,
            "opt_state": abstract.opt_state,
        }
        restored = _restore(
            self.manager,
            self.folder,
            step,
            ema=ocp.args.StandardRestore(abstract.ema),
            training=ocp.args.StandardRestore(training),
        )
        return TrainState(ema=restored["ema"], **restored["training"])

    def finish(self) -> None:
        """Waits until all is written (OSError if it could not be)."""
        with self._write_errors():
            self.manager.wait_until_finished()

    def close(self) -> None:
        """Frees the writer's threads."""
        with self._write_errors():
            self.manager.close()
        del self.manager
        # The threads of a failed write go on complaining for a while.
        if not self._failed:
            self._quiet.close()

    def _check_space(self, state: TrainState) -> None:
        """Refuses a save for which the disk has no room, before anything is written."""
        needed = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        self.folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self.folder).free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder))

    @contextlib.contextmanager
    def _write_errors(self) -> Iterator[None]:
        """Turns the many errors of a failed write into one OSError."""
        failure = None
        try:
            yield
        except Exception as error:
            failure = _as_os_error(error, self.folder)
        # Raised here and not above, for the error would keep the writer's frames alive.
        if failure is not None:
            self._failed = True
            raise failure


@dataclass(frozen=True)
class Trained:
    """What a checkpoint says of itself before its arrays are read.

    Attributes:
        path: the checkpoint's folder. step: when it was written. config: that of its stage.
        data: what it was trained on: name, class names, digest.
    """

    path: Path
    step: int
    config: StageConfig
    data: Mapping[str, Any]


def finished_steps(run: Path) -> list[int]:
    """The steps of a run's whole checkpoints, ascending; none if there is no such run."""
    folder = run / FOLDER
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if _finished(path))


def find(path: str | Path, step: int | None = None) -> Trained:
    """Opens a run's newest checkpoint, or that of a step, or the checkpoint at `path` itself.

    Raises:
        ValueError: there is none; says what is there and what was expected.
    """
    path = Path(path).absolute()
    if not path.is_dir():
        raise ValueError(f"{path} is no folder; expected the run folder of a trained stage")
    folder = path / FOLDER
    if folder.is_dir():
        steps = finished_steps(path)
        if not steps:
            raise ValueError(f"{path} has no finished checkpoint yet; train it further")
        if step is not None and step not in steps:
            raise ValueError(
                f"{path} has no checkpoint of step {step}; it has {', '.join(map(str, steps))}"
            )
        chosen = folder / str(steps[-1] if step is None else step)
    elif _finished(path):
        chosen = path
    else:
        raise ValueError(
            f"{path} is not a run or a checkpoint: it has neither a folder '{FOLDER}' nor the "
            "parts of a checkpoint; expected the --run folder of cdm-train-base or cdm-train-sr"
        )
    with ocp.CheckpointManager(chosen.parent) as manager:
        restored = _restore(
            manager,
            chosen.parent,
            int(chosen.name),
            config=ocp.args.JsonRestore(),
            data=ocp.args.JsonRestore(),
        )
    values = dict(restored["config"])
    version = values.pop("format_version", None)
    if version != FORMAT_VERSION:
        raise ValueError(f"{chosen} has format version {version}, expected {FORMAT_VERSION}")
    config = configs.from_dict(values, where=str(chosen))
    return Trained(chosen, int(chosen.name), config, restored["data"])


def load_ema(trained: Trained, network: Network, sharding: Any = None) -> Params:
    """The averaged parameters of a checkpoint, on the devices that `sharding` names."""
    abstract = jax.eval_shape(network.init, jax.random.key(0))
    if sharding is not None:
        abstract = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), abstract
        )
    with ocp.CheckpointManager(trained.path.parent) as manager:
        restored = _restore(
            manager,
            trained.path.parent,
            trained.step,
            ema=ocp.args.StandardRestore(abstract),
        )
    return restored["ema"]


def load_config(run: Path) -> StageConfig:
    """The config that a run was started with."""
    path = run / CONFIG
    return configs.from_dict(read_json(path, "the run's config"), where=str(path))


def _finished(path: Path) -> bool:
    return path.name.isdigit() and (path / "_CHECKPOINT_METADATA").is_file()


def _restore(manager: ocp.CheckpointManager, folder: Path, step: int, **parts: Any) -> Any:
    try:
        return manager.restore(step, args=ocp.args.Composite(**parts))
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(
            f"the checkpoint {folder / str(step)} cannot be read: {_first_line(error)}"
        ) from error


def _as_os_error(error: Exception, folder: Path) -> OSError:
    number = getattr(error, "errno", None)
    if number is None and (code := re.search(r"os_error_code='(\d+)'", str(error))):
        number = int(code[1])  # as the library that writes the arrays puts it
    if number is None:
        failure = OSError(errno.EIO, _first_line(error), str(folder))
    else:
        failure = OSError(number, os.strerror(number), str(folder))
    failure.add_note("The checkpoint was not written; those before it are whole")
    return failure


@contextlib.contextmanager
def _told_once() -> Iterator[None]:
    """Silences what Orbax and its event loop say of a failed write, which they raise as well.

    They log it with its traceback, from several threads; coroutines that were never run, and
    callbacks to a loop that is gone, are reported by Python as they are thrown away.
    """
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    hook = sys.unraisablehook

    def without_writers(found: Any) -> None:
        trace = found.exc_traceback
        names = {frame.f_code.co_filename for frame, _ in traceback.walk_tb(trace)}
        if isinstance(found.object, types.CoroutineType):  # one that was never run
            names.add(found.object.cr_code.co_filename)
        if not any("orbax" in name or "asyncio" in name for name in names):
            hook(found)

    for logger in loggers:
        logger.addFilter(_without_traceback)
    sys.unraisablehook = without_writers
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for logger in loggers:
            logger.removeFilter(_without_traceback)


def _without_traceback(record: logging.LogRecord) -> bool:
    return record.exc_info is None


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0][:300]
