"""A tiny data set in the real record format, and samples to score against it."""

import json
from pathlib import Path

import numpy as np
import pytest

from cdm.data.dataset import DatasetInfo, save_info
from cdm.data.records import shard_writer

CLASS_NAMES = ("red <b>&", "green", "blue")
RESOLUTIONS = (8, 16)


def coloured_images(count: int, seed: int) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """Noisy squares of one colour for each class: uint8 at both resolutions, and labels."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASS_NAMES)
    large = generator.uniform(0, 120, (count, 16, 16, 3))
    large[np.arange(count), :, :, labels] += 120
    small = large.reshape(count, 8, 2, 8, 2, 3).mean(axis=(2, 4))
    images = {8: np.rint(small).astype(np.uint8), 16: np.rint(large).astype(np.uint8)}
    return images, labels


def write_split(root: Path, split: str, count: int, seed: int, names: tuple[str, ...]) -> None:
    images, labels = coloured_images(count, seed)
    labels = labels % len(names)
    shards = {}
    for resolution in RESOLUTIONS:
        path = root / split / str(resolution) / f"tiny-{split}-{resolution}-00000-of-00001.tfrecord"
        with shard_writer(path) as writer:
            for index in range(count):
                pixels = images[resolution][index].tobytes()
                writer.write(f"{split}-{index}".encode(), pixels, int(labels[index]))
        shards[resolution] = (writer.describe(path),)
    save_info(
        root / split,
        DatasetInfo(
            name="tiny",
            split=split,
            source={"kind": "folder", "input": "none", "digest": str(seed)},
            resolutions=RESOLUTIONS,
            crop="none",
            resize="area",
            upscaled=dict.fromkeys(RESOLUTIONS, 0),
            seed=seed,
            num_examples=count,
            num_classes=len(names),
            class_names=names,
            examples_per_class=tuple(np.bincount(labels, minlength=len(names)).tolist()),
            shards=shards,
            counters={"listed": count, "written": count, "dead": 0},
            channel_mean=dict.fromkeys(RESOLUTIONS, (0.0, 0.0, 0.0)),
            channel_std=dict.fromkeys(RESOLUTIONS, (0.0, 0.0, 0.0)),
            versions={},
        ),
    )


def write_data(root: Path, names: tuple[str, ...] = CLASS_NAMES, seed: int = 0) -> Path:
    write_split(root, "train", 96, seed, names)
    write_split(root, "validation", 48, seed + 1, names)
    return root


def sample_arrays(count: int = 30) -> dict[str, np.ndarray]:
    images, labels = coloured_images(count, seed=7)
    return {
        "arr_0": images[16],
        "arr_1": labels,
        "stage_8": images[8],
        "stage_16": images[16],
        "index": np.arange(count),
    }


def write_samples(folder: Path, **changes: np.ndarray | None) -> Path:
    """A samples folder; an array given as None is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {**sample_arrays(), **changes}
    kept = {name: array for name, array in arrays.items() if array is not None}
    np.savez(folder / "samples.npz", **kept)
    settings = {
        "format_version": 1,
        "seed": 3,
        "class_names": list(CLASS_NAMES),
        "stages": [{"name": "base"}, {"name": "sr", "s": 50}],
        "consistency": [{"stage": "tiny_sr", "resolution": 16, "s": 50}],
        "note": "<script>alert(1)</script>",
    }
    (folder / "samples.json").write_text(json.dumps(settings))
    return folder


def write_run(folder: Path, name: str = "tiny_base") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"name": name, "model": {"channels": 8}}))
    lines = [
        {"step": step, "loss": 1 / step, "loss_q0": 2 / step, "images_per_second": 100.0}
        for step in range(1, 40)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


class Maker:
    """The functions above, for tests that make their own variants."""

    data = staticmethod(write_data)
    samples = staticmethod(write_samples)
    run = staticmethod(write_run)
    arrays = staticmethod(sample_arrays)
    class_names = CLASS_NAMES


@pytest.fixture(scope="session")
def make() -> Maker:
    return Maker()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("evaluate") / "data")
