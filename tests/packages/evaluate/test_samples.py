"""Samples folders, good and bad."""

from pathlib import Path

import numpy as np
import pytest

from cdm_evaluate.consistency import stage_consistency
from cdm_evaluate.samples import check_against_data, read_samples


def test_reads_what_the_contract_says(tmp_path: Path, make):
    samples = read_samples(make.samples(tmp_path / "samples"))
    arrays = make.arrays()
    assert samples.resolution == 16
    assert list(samples.stages) == [8, 16]
    np.testing.assert_array_equal(samples.images, arrays["arr_0"])
    np.testing.assert_array_equal(samples.stages[8], arrays["stage_8"])
    assert samples.labels.dtype == np.int64


def test_a_base_stage_alone_needs_no_stage_arrays(tmp_path: Path, make):
    samples = read_samples(make.samples(tmp_path / "s", stage_8=None, stage_16=None))
    assert list(samples.stages) == [16]


def test_missing_and_unfinished_folders(tmp_path: Path, make):
    with pytest.raises(ValueError, match="does not exist"):
        read_samples(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"is not a samples folder: it has no samples\.npz"):
        read_samples(tmp_path / "empty")
    folder = make.samples(tmp_path / "unfinished")
    (folder / "samples.json").unlink()
    with pytest.raises(ValueError, match="unfinished"):
        read_samples(folder)
    (folder / "samples.json").write_text('{"format_version": 9}')
    with pytest.raises(ValueError, match="format version 9, expected 1"):
        read_samples(folder)


@pytest.mark.parametrize("damage", ["cut", "flipped", "text"])
def test_damaged_archives(tmp_path: Path, make, damage: str):
    folder = make.samples(tmp_path / "samples")
    file = folder / "samples.npz"
    content = bytearray(file.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[2000] ^= 255  # in the pixels: only the archive's checksum can tell
    else:
        content = bytearray(b"not an archive")
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"samples\.npz is damaged"):
        read_samples(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arr_1": None}, "has no arr_1"),
        ({"arr_0": np.zeros((30, 16, 16, 3), np.float32)}, "float32, expected uint8"),
        ({"arr_0": np.zeros((30, 16, 8, 3), np.uint8)}, r"shape \(30, 16, 8, 3\)"),
        ({"arr_0": np.zeros((30, 3, 16, 16), np.uint8)}, r"expected \(n, r, r, 3\)"),
        ({"arr_1": np.zeros(29, np.int64)}, "one whole number for each of 30"),
        ({"arr_1": np.zeros(30)}, r"arr_1 .* float64"),
        ({"stage_8": np.zeros((29, 8, 8, 3), np.uint8)}, "stage_8"),
        ({"stage_8": np.zeros((30, 4, 4, 3), np.uint8)}, r"expected \(30, 8, 8, 3\)"),
        ({"stage_16": np.zeros((30, 16, 16, 3), np.uint8)}, "not its last stage"),
        ({"stage_32": np.zeros((30, 32, 32, 3), np.uint8)}, "not its last stage"),
    ],
)
def test_arrays_that_are_not_images_and_labels(tmp_path: Path, make, changes, message):
    with pytest.raises(ValueError, match=message):
        read_samples(make.samples(tmp_path / "samples", **changes))


def test_one_image_cannot_be_scored(tmp_path: Path, make):
    one = {name: array[:1] for name, array in make.arrays().items()}
    with pytest.raises(ValueError, match="holds 1 images, expected at least 2"):
        read_samples(make.samples(tmp_path / "samples", **one))


def test_samples_of_other_data(tmp_path: Path, make):
    samples = read_samples(make.samples(tmp_path / "samples"))
    check_against_data(samples, make.class_names, "DATA")
    with pytest.raises(ValueError, match="from 0 to 2, but DATA has 2 classes, 0 to 1"):
        check_against_data(samples, make.class_names[:2], "DATA")
    with pytest.raises(ValueError, match="sampled for the classes red"):
        check_against_data(samples, ("a", "b", "c"), "DATA")


def test_consistency_is_that_of_the_area_mean():
    generator = np.random.default_rng(0)
    low = generator.integers(20, 200, (1100, 4, 4, 3)).astype(np.uint8)
    high = low.repeat(2, axis=1).repeat(2, axis=2)
    high[..., 0] += 3  # red up everywhere; green down in one pixel of four
    high[:, ::2, ::2, 1] -= 4
    (entry,) = stage_consistency({8: high, 4: low})
    assert (entry.low_res, entry.resolution) == (4, 8)
    assert entry.mean_abs_difference == pytest.approx(4 / 3, rel=1e-5)
    assert entry.colour_shift == pytest.approx((3, -1, 0), abs=1e-5)
    assert stage_consistency({4: low}) == []
