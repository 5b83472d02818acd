"""The smallest things that train: a data set of twelve images, and the settings of two stages.

Everything here is fit for the command line, so that tests drive what a user drives. JAX is imported
where it is needed, so that tests without it stay quick.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result

from cdm.data.dataset import DatasetInfo, save_info
from cdm.data.records import shard_writer

SIZES = (4, 8)
SHARDS = (5, 0, 7)  # one of them empty
# Ten, as the glyphs have, so that the programs compiled for one data set serve the other.
CLASS_NAMES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay")
TIMESTEPS = 20


def pixels(record: int, size: int) -> np.ndarray:
    """The image that record holds at a resolution."""
    rng = np.random.default_rng([record, size])
    return rng.integers(0, 256, (size, size, 3), dtype=np.uint8)


def write_dataset(
    root: Path,
    split: str = "train",
    digest: str = "0",
    class_names: Sequence[str] = CLASS_NAMES,
) -> Path:
    """Writes a split of 12 records in three shards at 4 and 8 pixels; returns `root`."""
    classes = len(class_names)
    folder = root / split
    shards = {}
    for size in SIZES:
        files = []
        record = 0
        for shard, count in enumerate(SHARDS):
            path = folder / str(size) / f"tiny-{split}-{size}-{shard:05d}-of-00003.tfrecord"
            with shard_writer(path) as writer:
                for _ in range(count):
                    image = pixels(record, size).tobytes()
                    writer.write(f"image-{record}".encode(), image, record % classes)
                    record += 1
            files.append(writer.describe(path))
        shards[size] = tuple(files)
    info = DatasetInfo(
        name="tiny",
        split=split,
        source={"kind": "test", "input": None, "digest": digest},
        resolutions=SIZES,
        crop="none",
        resize="none",
        upscaled=dict.fromkeys(SIZES, 0),
        seed=0,
        num_examples=sum(SHARDS),
        num_classes=classes,
        class_names=tuple(class_names),
        examples_per_class=tuple(
            len(range(label, sum(SHARDS), classes)) for label in range(classes)
        ),
        shards=shards,
        counters={"listed": 12, "written": 12, "dead": 0},
        channel_mean=dict.fromkeys(SIZES, (127.5, 127.5, 127.5)),
        channel_std=dict.fromkeys(SIZES, (70.0, 70.0, 70.0)),
        versions={"python": "3"},
    )
    save_info(folder, info)
    return root


# One block of eight channels without attention: XLA compiles a step of it in two or three seconds,
# which is most of what these tests take.
_SMALL = (
    "model.channels=8",
    "model.channel_multipliers=1",
    "model.num_res_blocks=1",
    "model.attention_resolutions=",
    "model.num_heads=1",
    "model.norm_groups=2",
    f"diffusion.timesteps={TIMESTEPS}",
    "diffusion.sampling_steps=none",
    "optim.warmup_steps=2",
    # So large that a few steps change what is sampled.
    "optim.learning_rate=0.02",
    "train.batch_size=4",
    "train.steps=4",
    "train.log_every=2",
    "train.checkpoint_every=2",
    # Larger than any run here: only the preview at the end is made.
    "train.preview_every=1000000",
    "train.preview_steps=2",
)
BASE = ("name=tiny_base", "model.resolution=4", *_SMALL)
SR = (
    "name=tiny_sr",
    "model.resolution=8",
    "model.low_res=4",
    f"augment.timesteps={TIMESTEPS}",
    *_SMALL,
)


def settings(*assignments: str) -> list[str]:
    """Options of a command that make these settings, each `section.field=value`."""
    return [part for assignment in assignments for part in ("--set", assignment)]


def base_options(*changes: str) -> list[str]:
    """What makes `cdm-train-base` train the tiny base stage, with these changes."""
    return ["--preset", "demo16_base", *settings(*BASE, *changes)]


def sr_options(*changes: str) -> list[str]:
    """What makes `cdm-train-sr` train the tiny super-resolution stage, with these changes."""
    return ["--preset", "demo16_32_sr", *settings(*SR, *changes)]


def invoke(main: Any, *arguments: Any) -> Result:
    """Runs a command in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def succeed(main: Any, *arguments: Any) -> Result:
    """Runs a command in this process that must end well."""
    result = invoke(main, *arguments)
    assert result.exit_code == 0, result.output
    return result


def fail(main: Any, *arguments: Any) -> str:
    """Runs a command that must refuse; returns what it says, which must be no traceback."""
    result = invoke(main, *arguments)
    assert isinstance(result.exception, SystemExit), (arguments, result.exception, result.output)
    assert result.exit_code in (1, 2), (arguments, result.output)
    assert "Error: " in result.output
    assert "Traceback" not in result.output
    return result.output


def start(command: str, *arguments: Any, **environment: str) -> subprocess.Popen:
    """Starts a command as a process of its own, its output in one stream of text."""
    return subprocess.Popen(
        [str(Path(sys.executable).with_name(command)), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )


def logged_steps(run: Path) -> list[int]:
    """The steps of a run's metrics.jsonl, in the order of the file."""
    file = run / "metrics.jsonl"
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [json.loads(line)["step"] for line in lines if line.endswith("\n")]


def newest_state(run: Path, init: Any = None) -> Any:
    """The whole state in a run's newest checkpoint: `init` is its network's, if not a U-Net's."""
    import jax

    from cdm.stage import make_stage
    from cdm.training.checkpoint import Checkpoints, find
    from cdm.training.state import init_state

    found = find(run)
    network_init = init or make_stage(found.config).network.init
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    abstract = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=device),
        jax.eval_shape(lambda: init_state(network_init, found.config.optim, 0)),
    )
    checkpoints = Checkpoints(run, found.config.train)
    try:
        return checkpoints.restore(found.step, abstract)
    finally:
        checkpoints.close()


def assert_same_state(a: Any, b: Any) -> None:
    """Step, parameters, average and the optimizer's state are equal bit for bit."""
    import jax

    assert jax.tree.structure(a) == jax.tree.structure(b)
    for (path, left), right in zip(
        jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True
    ):
        np.testing.assert_array_equal(
            np.asarray(left), np.asarray(right), err_msg=jax.tree_util.keystr(path)
        )


@contextmanager
def compiled_once(folder: Path) -> Iterator[None]:
    """Keeps compiled programs in a folder: later runs, in other processes too, find them there."""
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    settings = {
        "jax_compilation_cache_dir": os.environ.get("JAX_COMPILATION_CACHE_DIR", str(folder)),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    environment = {name.upper(): str(value) for name, value in settings.items()}
    kept = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # JAX decides at its first program whether it has a cache
    try:
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        for name, text in kept.items():
            if text is None:
                del os.environ[name]
            else:
                os.environ[name] = text
