"""A small data set, written by the record writer alone."""

from pathlib import Path

import numpy as np
import pytest

from cdm.data.dataset import DatasetInfo, save_info
from cdm.data.records import shard_writer

SIZES = (4, 8)
SHARDS = (5, 0, 7)  # one of them empty


def pixels(record: int, size: int) -> np.ndarray:
    """The image that record holds at a resolution."""
    rng = np.random.default_rng([record, size])
    return rng.integers(0, 256, (size, size, 3), dtype=np.uint8)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A folder with the split `train`: 12 records in three shards at 4 and 8 pixels, 3 classes."""
    folder = tmp_path / "data" / "train"
    shards = {}
    for size in SIZES:
        files = []
        record = 0
        for shard, count in enumerate(SHARDS):
            path = folder / str(size) / f"tiny-train-{size}-{shard:05d}-of-00003.tfrecord"
            with shard_writer(path) as writer:
                for _ in range(count):
                    image = pixels(record, size).tobytes()
                    writer.write(f"image-{record}".encode(), image, record % 3)
                    record += 1
            files.append(writer.describe(path))
        shards[size] = tuple(files)
    info = DatasetInfo(
        name="tiny",
        split="train",
        source={"kind": "test", "input": None, "digest": "0"},
        resolutions=SIZES,
        crop="none",
        resize="none",
        upscaled=dict.fromkeys(SIZES, 0),
        seed=0,
        num_examples=sum(SHARDS),
        num_classes=3,
        class_names=("a", "b", "c"),
        examples_per_class=(4, 4, 4),
        shards=shards,
        counters={"listed": 12, "written": 12, "dead": 0},
        channel_mean=dict.fromkeys(SIZES, (127.5, 127.5, 127.5)),
        channel_std=dict.fromkeys(SIZES, (70.0, 70.0, 70.0)),
        versions={"python": "3"},
    )
    save_info(folder, info)
    return tmp_path / "data"
