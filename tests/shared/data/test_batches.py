import threading
from contextlib import closing
from itertools import islice

import numpy as np
import pytest

from cdm.data import order
from cdm.data.batches import batches
from cdm.data.reader import open_split

from .conftest import pixels


@pytest.fixture
def split(dataset):
    with open_split(dataset, "train", (4, 8)) as split:
        yield split


def take(stream, count):
    with closing(stream):
        return list(islice(stream, count))


def reading_threads():
    return [thread for thread in threading.enumerate() if thread.name == "cdm-batches"]


def test_batches_hold_the_records_of_the_order(split):
    for step, batch in enumerate(
        take(batches(split, resolution=8, low_resolution=4, batch_size=5, seed=7), 6)
    ):
        rows = order.indices(7, step * 5, 5, 12)
        np.testing.assert_array_equal(batch["image"], [pixels(r, 8) for r in rows])
        np.testing.assert_array_equal(batch["low_res"], [pixels(r, 4) for r in rows])
        np.testing.assert_array_equal(batch["label"], rows % 3)
        assert (batch["image"].dtype, batch["label"].dtype) == (np.uint8, np.int32)


def test_low_res_only_where_asked_for(split):
    (batch,) = take(batches(split, resolution=4, batch_size=2, seed=0), 1)
    assert sorted(batch) == ["image", "label"]


def test_a_stream_can_start_at_any_step(split):
    whole = take(batches(split, resolution=4, batch_size=5, seed=1), 8)
    later = take(batches(split, resolution=4, batch_size=5, seed=1, start_step=3), 5)
    for left, right in zip(whole[3:], later, strict=True):
        np.testing.assert_array_equal(left["image"], right["image"])


def test_slices_of_processes_make_up_the_batch(split):
    (whole,) = take(batches(split, resolution=4, batch_size=6, seed=1, start_step=4), 1)
    parts = [
        take(batches(split, resolution=4, batch_size=6, seed=1, start_step=4, shard=(k, 3)), 1)[0]
        for k in range(3)
    ]
    joined = np.concatenate([part["image"] for part in parts])
    np.testing.assert_array_equal(joined, whole["image"])


def test_a_batch_may_be_larger_than_the_split(split):
    (batch,) = take(batches(split, resolution=4, batch_size=30, seed=0), 1)
    assert np.bincount(batch["label"]).tolist()[0] >= 8
    assert batch["image"].shape == (30, 4, 4, 3)


def test_closing_ends_the_thread(split):
    stream = batches(split, resolution=4, batch_size=2, seed=0)
    next(stream)
    assert len(reading_threads()) == 1
    stream.close()
    assert reading_threads() == []
    with pytest.raises(StopIteration):
        next(stream)


def test_errors_of_the_thread_are_raised_in_the_consumer(split, dataset):
    path = next((dataset / "train" / "4").glob("*00000-of*.tfrecord"))
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    stream = batches(split, resolution=4, batch_size=12, seed=0)
    with pytest.raises(ValueError, match="is damaged"):
        next(stream)
    assert reading_threads() == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "cannot be divided"),
        ({"batch_size": 5, "shard": (0, 2)}, "cannot be divided among 2"),
        ({"batch_size": 4, "shard": (2, 2)}, "from 0 to 1"),
        ({"batch_size": 4, "start_step": -1}, "start_step -1"),
        ({"batch_size": 4, "low_resolution": 2}, "resolution 2 was not opened"),
    ],
)
def test_impossible_settings_are_refused_at_once(split, settings, message):
    with pytest.raises(ValueError, match=message):
        batches(split, resolution=4, seed=0, **settings)
