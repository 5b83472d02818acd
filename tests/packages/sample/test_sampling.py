"""cdm-sample on tiny stages: the folder it leaves, and what its images depend on."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cdm import images as image_functions
from cdm_sample.cli import main

from ...shared.tiny import CLASS_NAMES, pixels, start, succeed

NUM, S = 16, 5


@pytest.fixture(scope="module")
def sample(base_run: Path, sr_run: Path, tmp_path_factory: pytest.TempPathFactory):
    """Samples the cascade with these options, once for each, and returns the folder."""
    made: dict[tuple, Path] = {}

    def run(*options) -> Path:
        if options not in made:
            out = tmp_path_factory.mktemp("samples") / "out"
            stages = ("--base", base_run, "--sr", sr_run, "--no-png")
            succeed(main, *stages, *options, "--out", out)
            made[options] = out
        return made[options]

    return run


def arrays(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "samples.npz", allow_pickle=False) as file:
        return dict(file)


def assert_same_images(a: np.ndarray, b: np.ndarray) -> None:
    """Equal but for values that lie on the border of two levels."""
    difference = np.abs(a.astype(int) - b.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


TRUNCATED = ("--num", NUM, "--batch-size", 4, "--s", S)


def test_the_folder_is_as_the_contract_says(base_run, sr_run, tmp_path):
    out = tmp_path / "out"
    command = ("--base", base_run, "--sr", sr_run, *TRUNCATED, "--seed", 1, "--out", out)
    assert f"16 images in {out}" in succeed(main, *command).stderr
    assert {p.name for p in out.iterdir()} == {"samples.npz", "samples.json", "png", "grid.png"}

    made = arrays(out)
    assert set(made) == {"arr_0", "arr_1", "index", "stage_4", "stage_8"}
    assert (made["arr_0"].shape, made["arr_0"].dtype) == ((NUM, 8, 8, 3), np.uint8)
    assert (made["stage_4"].shape, made["stage_4"].dtype) == ((NUM, 4, 4, 3), np.uint8)
    np.testing.assert_array_equal(made["stage_8"], made["arr_0"])
    for name, expected in (("arr_1", np.arange(NUM) % 10), ("index", np.arange(NUM))):
        assert made[name].dtype == np.int64
        np.testing.assert_array_equal(made[name], expected)
    assert len(np.unique(made["arr_0"].reshape(NUM, -1), axis=0)) == NUM

    files = sorted((out / "png").iterdir())
    assert [f.name for f in files[:2]] == ["000000_0.png", "000001_1.png"]
    assert len(files) == NUM
    with Image.open(files[13]) as picture:
        np.testing.assert_array_equal(np.asarray(picture), made["arr_0"][13])
    with Image.open(out / "grid.png") as grid:
        assert grid.width > 2 * 64

    description = json.loads((out / "samples.json").read_text())
    assert description["format_version"] == 1
    assert description["seed"] == 1
    assert description["num"] == NUM
    assert description["class_names"] == list(CLASS_NAMES)
    assert description["rounding"] == image_functions.ROUNDING
    base, sr = description["stages"]
    assert (base["name"], base["resolution"], base["step"]) == ("tiny_base", 4, 4)
    assert (sr["name"], sr["resolution"], sr["steps"]) == ("tiny_sr", 8, 20)
    assert (sr["augmentation"], sr["s"]) == ("truncated", S)
    difference, _ = image_functions.low_res_consistency(made["stage_8"], made["stage_4"])
    (entry,) = description["consistency"]
    assert entry["mean_abs_difference"] == pytest.approx(difference, abs=1e-3)

    # The same command again has nothing to do, another one is refused by test_bad_requests.py.
    before = (out / "samples.npz").stat().st_mtime_ns
    said = succeed(main, *command, "--batch-size", 7).stderr
    assert "holds these samples already; nothing to do" in said
    assert (out / "samples.npz").stat().st_mtime_ns == before


@pytest.mark.parametrize("batch_size", [1, 16])
def test_the_batch_size_does_not_matter(sample, batch_size):
    expected = arrays(sample(*TRUNCATED))
    made = arrays(sample("--num", NUM, "--batch-size", batch_size, "--s", S))
    for name in ("stage_4", "stage_8"):
        assert_same_images(made[name], expected[name])


def test_more_images_leave_the_first_as_they_are(sample):
    few = arrays(sample("--num", 6, "--batch-size", 4, "--s", S))
    for name, values in arrays(sample(*TRUNCATED)).items():
        np.testing.assert_array_equal(few[name], values[:6], err_msg=name)


def test_the_seed_and_the_class_matter(sample):
    expected = arrays(sample(*TRUNCATED))["arr_0"]
    other = arrays(sample(*TRUNCATED, "--seed", 1))["arr_0"]
    assert (other != expected).mean() > 0.5
    classes = arrays(sample(*TRUNCATED, "--classes", "cat,9"))
    np.testing.assert_array_equal(classes["arr_1"], [2, 9] * (NUM // 2))
    # Image 2 is of class 2 in both: the others have the same noise and another class.
    assert (classes["arr_0"][12] == arrays(sample(*TRUNCATED))["arr_0"][12]).all()
    assert (classes["arr_0"][0] != expected[0]).any()


def test_the_two_kinds_of_augmentation_meet_at_s_0(sample):
    options = ("--num", NUM, "--batch-size", 4, "--s", 0, "--augmentation")
    truncated = arrays(sample(*options, "truncated"))
    non_truncated = arrays(sample(*options, "non-truncated"))
    np.testing.assert_array_equal(truncated["arr_0"], non_truncated["arr_0"])


def test_the_two_kinds_of_augmentation_differ_beyond(sample):
    truncated = arrays(sample(*TRUNCATED))
    non_truncated = arrays(sample(*TRUNCATED, "--augmentation", "non-truncated"))
    # The base stage runs to the end in both.
    assert_same_images(truncated["stage_4"], non_truncated["stage_4"])
    assert (truncated["stage_8"] != non_truncated["stage_8"]).mean() > 0.1
    clean = arrays(sample("--num", NUM, "--batch-size", 4, "--s", 0, "--augmentation", "truncated"))
    assert (clean["stage_8"] != non_truncated["stage_8"]).mean() > 0.1


def test_real_images_may_take_the_place_of_the_base_stage(sr_run, data, tmp_path):
    out = tmp_path / "out"
    options = ("--sr", sr_run, "--s", 0, "--num", 4, "--batch-size", 4, "--no-png")
    succeed(main, "--low-res", data, *options, "--out", out)
    made = arrays(out)
    rows = [0, 3, 7, 11]  # spread evenly over the twelve
    np.testing.assert_array_equal(made["stage_4"], [pixels(row, 4) for row in rows])
    np.testing.assert_array_equal(made["arr_1"], np.array(rows) % 10)
    (stage,) = json.loads((out / "samples.json").read_text())["stages"]
    assert stage["augmentation"] == "non-truncated"
    assert not (out / "png").exists()


def test_eight_devices_make_the_same_images(sample, base_run, sr_run, tmp_path):
    expected = arrays(sample(*TRUNCATED))
    out = tmp_path / "out"
    process = start(
        "cdm-sample",
        *("--base", base_run, "--sr", sr_run, *TRUNCATED, "--out", out, "--no-png"),
        XLA_FLAGS="--xla_force_host_platform_device_count=8",
    )
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    made = arrays(out)
    for name in ("stage_4", "stage_8"):
        assert_same_images(made[name], expected[name])
