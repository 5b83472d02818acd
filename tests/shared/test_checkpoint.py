"""What is found in a run's folder, and what is left of it when a disk is full."""

import resource
import shutil
from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cdm.cli import describe_os_error
from cdm.config import OptimConfig, StageConfig, TrainConfig
from cdm.nn.functional import Network
from cdm.training.checkpoint import Checkpoints, find, finished_steps, load_ema
from cdm.training.state import init_state

from .tiny import assert_same_state

DATA = {"name": "tiny", "class_names": ["a", "b"], "source": {"digest": "0"}}
CONFIG = StageConfig(name="here", train=TrainConfig(keep_checkpoints=2, keep_every=10))


def init(key):
    """64 KiB that cannot be compressed."""
    return {"layer": {"0": jax.random.normal(key, (128, 128)), "1": jnp.zeros(3)}}


def state(step: int):
    made = init_state(init, OptimConfig(), seed=step)
    ema = jax.tree.map(lambda x: x + 1.0, made.params)
    return type(made)(jnp.int32(step), made.params, ema, made.opt_state)


@contextmanager
def opened(run: Path):
    checkpoints = Checkpoints(run, CONFIG.train)
    try:
        yield checkpoints
    finally:
        checkpoints.close()


def restore(run: Path, step: int):
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    abstract = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=device), state(step)
    )
    with opened(run) as checkpoints:
        return checkpoints.restore(step, abstract)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Saved after the steps 5, 10, 15, 20 and 25."""
    with opened(tmp_path / "run") as checkpoints:
        for step in range(5, 30, 5):
            checkpoints.save(state(step), CONFIG, DATA)
        checkpoints.finish()
    return tmp_path / "run"


def test_state_and_description_survive(run):
    assert_same_state(restore(run, 25), state(25))
    found = find(run)
    assert (found.step, found.config, dict(found.data)) == (25, CONFIG, DATA)
    assert found.path == run / "checkpoints" / "25"


def test_the_newest_and_the_multiples_are_kept(run):
    assert finished_steps(run) == [10, 20, 25]
    with opened(run) as checkpoints:
        assert checkpoints.latest() == 25


def test_a_step_or_a_checkpoint_itself_may_be_named(run):
    assert find(run, 10).step == 10
    assert find(run / "checkpoints" / "20").step == 20
    with pytest.raises(ValueError, match="no checkpoint of step 7; it has 10, 20, 25"):
        find(run, 7)


def test_sampling_reads_the_average_alone(run):
    ema = load_ema(find(run, 20), Network(init, None))
    np.testing.assert_array_equal(ema["layer"]["0"], state(20).ema["layer"]["0"])
    assert not np.array_equal(ema["layer"]["0"], state(20).params["layer"]["0"])


def test_a_checkpoint_in_the_making_is_none(run):
    """What a killed save leaves behind has no final name, or not what is written last."""
    folder = run / "checkpoints"
    (folder / "30.orbax-checkpoint-tmp").mkdir()
    (folder / "35").mkdir()
    assert finished_steps(run) == [10, 20, 25]
    assert find(run).step == 25


def test_what_is_no_run_is_refused(tmp_path, run):
    (tmp_path / "empty").mkdir()
    (tmp_path / "young" / "checkpoints").mkdir(parents=True)
    for path, message in [
        (tmp_path / "none", "is no folder; expected the run folder"),
        (tmp_path / "empty", "is not a run or a checkpoint"),
        (tmp_path / "young", "has no finished checkpoint yet"),
    ]:
        with pytest.raises(ValueError, match=message):
            find(path)
    assert finished_steps(tmp_path / "none") == []


def test_a_damaged_checkpoint_is_named(run):
    for file in (run / "checkpoints" / "25" / "config").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match="checkpoints/25 cannot be read"):
        find(run)
    assert find(run, 20).step == 20


def test_a_save_that_does_not_fit_is_not_begun(run, monkeypatch):
    usage = shutil.disk_usage(run)._replace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with opened(run) as checkpoints, pytest.raises(OSError, match="No space left") as error:
        checkpoints.save(state(30), CONFIG, DATA)
    assert describe_os_error(error.value).startswith("no space left on the disk")
    assert [p.name for p in (run / "checkpoints").iterdir() if p.name.startswith("30")] == []
    assert finished_steps(run)[-1] == 25


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_full_disk_costs_the_new_checkpoint_only(run, caplog):
    """The system refuses to let a file grow beyond 20,000 bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(run) as checkpoints:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        try:
            checkpoints.save(state(30), CONFIG, DATA)
            with pytest.raises(OSError, match="File too large") as error:
                checkpoints.finish()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "those before it are whole" in describe_os_error(error.value)
    assert "Traceback" not in caplog.text
    assert finished_steps(run)[-1] == 25
    assert_same_state(restore(run, 25), state(25))
    # With room again the run goes on, whatever the failed attempt left behind.
    with opened(run) as checkpoints:
        assert checkpoints.latest() == 25
        checkpoints.save(state(30), CONFIG, DATA)
        checkpoints.finish()
    assert finished_steps(run)[-1] == 30
    assert_same_state(restore(run, 30), state(30))
