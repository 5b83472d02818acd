import json
import os

import numpy as np
import pytest

from cdm.data import reader as reader_module
from cdm.data.dataset import load_info, save_info, splits
from cdm.data.reader import open_split
from cdm.data.records import index_path

from .conftest import pixels


def test_reads_any_records_in_the_asked_order(dataset):
    rows = np.array([11, 0, 4, 5, 4])
    with open_split(dataset, "train", (8, 4)) as split:
        assert len(split) == 12
        assert split.resolutions == (4, 8)
        for size in (4, 8):
            images, labels = split.read(rows, size)
            assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
            np.testing.assert_array_equal(images, np.stack([pixels(r, size) for r in rows]))
            np.testing.assert_array_equal(labels, rows % 3)
        assert split.ids(rows) == [f"image-{r}" for r in rows]
        assert split.read(np.array([], np.int64), 4)[0].shape == (0, 4, 4, 3)


def test_description_survives_json(dataset):
    info = load_info(dataset, "train")
    save_info(dataset / "again", info)
    assert load_info(dataset, "again") == info
    assert info.shards[8][2].examples == 7
    assert splits(dataset) == ["again", "train"]


def test_missing_index_is_rebuilt_in_memory(dataset):
    for index in dataset.rglob("*.idx"):
        index.unlink()
    with open_split(dataset, "train", (4,)) as split:
        np.testing.assert_array_equal(split.read(np.array([7]), 4)[0][0], pixels(7, 4))
    assert not list(dataset.rglob("*.idx"))


def test_few_descriptors_are_enough(dataset, monkeypatch):
    with open_split(dataset, "train", (4, 8)) as split:
        monkeypatch.setattr(split._files, "_most", 1)
        for size in (4, 8, 4):
            images, _ = split.read(np.arange(12), size)
            np.testing.assert_array_equal(images[11], pixels(11, size))
        assert len(split._files._descriptors) == 1


def test_closing_closes_files(dataset):
    split = open_split(dataset, "train", (4,))
    split.read(np.arange(12), 4)
    (descriptor, *_) = split._files._descriptors.values()
    split.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_absent_resolution_names_those_present(dataset):
    with pytest.raises(ValueError, match=r"resolution 16; it holds: 4, 8; .*--resolutions 4,8,16"):
        open_split(dataset, "train", (4, 16))
    with open_split(dataset, "train", (4,)) as split, pytest.raises(ValueError, match="opened"):
        split.read(np.array([0]), 8)


def test_absent_split_names_those_present(dataset):
    with pytest.raises(ValueError, match="no split 'test'; it has: train"):
        open_split(dataset, "test", (4,))


def test_what_is_no_data_set(dataset, tmp_path):
    with pytest.raises(ValueError, match=r"no data set at .*prepare one"):
        load_info(tmp_path / "nothing", "train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="is not a data set"):
        load_info(tmp_path / "empty", "train")
    with pytest.raises(ValueError, match="is one split; give the folder above"):
        load_info(dataset / "train", "train")


def test_unfinished_split_says_what_to_do(dataset):
    (dataset / "train" / "dataset_info.json").unlink()
    with pytest.raises(ValueError, match=r"did not finish; run the same .* command again"):
        load_info(dataset, "train")


def test_other_format_version(dataset):
    file = dataset / "train" / "dataset_info.json"
    values = json.loads(file.read_text())
    file.write_text(json.dumps(values | {"format_version": 2}))
    with pytest.raises(ValueError, match="format version 2, expected 1"):
        load_info(dataset, "train")
    del values["resize"]
    file.write_text(json.dumps(values))
    with pytest.raises(ValueError, match="lacks resize"):
        load_info(dataset, "train")


def shard(dataset, size=8):
    return next((dataset / "train" / str(size)).glob("*00000-of*.tfrecord"))


def test_truncated_shard_is_one_clear_message_at_the_door(dataset):
    path = shard(dataset)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"{path.name} is cut short: .* run the same"):
        open_split(dataset, "train", (8,))
    open_split(dataset, "train", (4,)).close()
    path.unlink()
    with pytest.raises(ValueError, match=r"is missing"):
        open_split(dataset, "train", (8,))


def test_flipped_bit_is_noticed_when_read(dataset):
    path = shard(dataset)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with open_split(dataset, "train", (8,)) as split:
        split.read(np.arange(1, 12), 8)
        with pytest.raises(ValueError, match=rf"record 0 of .*{path.name} is damaged: .*checksum"):
            split.read(np.arange(12), 8)
    with open_split(dataset, "train", (8,), check=False) as split:
        split.read(np.arange(12), 8)


def test_foreign_index_is_refused(dataset):
    path = shard(dataset)
    index_path(path).write_bytes(index_path(shard(dataset, 4)).read_bytes())
    with pytest.raises(ValueError, match="does not belong to its shard"):
        open_split(dataset, "train", (8,))


@pytest.mark.parametrize("rows", [[12], [-1], [[0]], [0.5]])
def test_impossible_indices(dataset, rows):
    with (
        open_split(dataset, "train", (4,)) as split,
        pytest.raises(ValueError, match=r"expected 0 to 11|whole numbers in one axis"),
    ):
        split.read(np.array(rows), 4)


def test_no_limit_on_open_files(monkeypatch):
    infinite = reader_module.resource.RLIM_INFINITY
    monkeypatch.setattr(reader_module.resource, "getrlimit", lambda kind: (infinite, infinite))
    assert reader_module._OpenFiles()._most > 100
