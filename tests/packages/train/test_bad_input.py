"""What the training commands say about mistakes: one message, an exit code, nothing lost."""

import json

import pytest

from cdm.data.dataset import load_info, save_info
from cdm.training.checkpoint import find
from cdm_train_base.cli import main as train_base
from cdm_train_sr.cli import main as train_sr

from ...shared.tiny import (
    base_options,
    fail,
    invoke,
    settings,
    sr_options,
    start,
    write_dataset,
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to train: give --preset NAME"),
        (["--preset", "demo16_bas"], "did you mean demo16_base"),
        (
            ["--preset", "demo16_base", "--config", "x.json"],
            "--preset and --config were both given",
        ),
        (["--config", "none.json"], "cannot read the config none.json"),
        (base_options("model.chanels=8"), "did you mean model.channels"),
        (base_options("diffusion.schedule=cosin"), "did you mean cosine"),
        (base_options("train.steps=many"), "expected a whole number"),
        (base_options("train.steps"), "expected section.field=value"),
        (base_options("train.steps=-5"), "train.steps = -5: expected 1 or more"),
        (base_options("train.batch_size=0"), "train.batch_size = 0: expected 1 or more"),
        (base_options("model.dropout=2"), "model.dropout = 2.0: expected 0 or more, but less"),
        (base_options("model.channel_multipliers=1,0"), "(1, 0): expected 1 or more"),
        (base_options("optim.learning_rate=-0.1"), "learning_rate = -0.1: expected more than 0"),
        (base_options("optim.ema_decay=1.5"), "optim.ema_decay = 1.5: expected from 0 to 1"),
        (base_options("train.keep_every=0"), "train.keep_every = 0: expected 1 or more"),
        ([*base_options("diffusion.loss=hybrid"), "--dry-run"], "hybrid trains a learned variance"),
        ([*base_options("augment.conditioning=blur"), "--dry-run"], "a base stage has none"),
        (sr_options(), "tiny_sr is a super-resolution stage (model.low_res = 4); train it with"),
        (base_options(), "no --run folder given"),
    ],
)
def test_settings(arguments, message, data):
    assert message in fail(train_base, "--data", data, *arguments)


def test_a_base_stage_is_not_for_the_other_command(data):
    said = fail(train_sr, *base_options(), "--data", data)
    assert "tiny_base is a base stage (model.low_res = None); train it with cdm-train-base" in said


def test_data_that_do_not_fit(tmp_path):
    data, run = write_dataset(tmp_path / "data"), tmp_path / "run"

    def said(*changes, folder=data):
        return fail(train_base, *base_options(*changes), "--data", folder, "--run", run)

    assert "there is no data set at" in said(folder=tmp_path / "none")
    assert "does not hold resolution 16; it holds: 4, 8" in said("model.resolution=16")
    assert "has no split 'test'; it has: train" in said("data.split=test")
    assert "has 10 classes, but model.num_classes is 7; say --set" in said("model.num_classes=7")
    assert "no data set: give --data DIR" in fail(train_base, *base_options(), "--run", run)
    # Nothing was begun by all this.
    assert not run.exists()


def test_a_truncated_file_of_records(tmp_path):
    data = write_dataset(tmp_path / "data")
    shard = load_info(data, "train").shard_path(data / "train", 4, 2)
    shard.write_bytes(shard.read_bytes()[:-10])
    said = fail(train_base, *base_options(), "--data", data, "--run", tmp_path / "run")
    assert f"{shard} is cut short" in said.replace("\n", "")
    # A stage that does not need the file could be trained.
    assert not (tmp_path / "run").exists()


def test_a_damaged_record_stops_the_run_with_its_name(tmp_path, base_run):
    """A flipped byte that no length tells of; the run must not hang on its reading thread."""
    data = write_dataset(tmp_path / "data")
    shard = load_info(data, "train").shard_path(data / "train", 4, 2)
    content = bytearray(shard.read_bytes())
    content[40] ^= 1
    shard.write_bytes(content)
    said = fail(train_base, *base_options(), "--data", data, "--run", tmp_path / "run")
    assert "record 0 of" in said
    assert "is damaged" in said


def test_a_run_with_other_settings_is_not_resumed(data, base_run):
    before = (base_run / "config.json").read_text()
    said = fail(
        train_base,
        *base_options("optim.learning_rate=0.5", "train.batch_size=2", "train.steps=50"),
        "--data",
        data,
        "--run",
        base_run,
    )
    assert "was started with other settings" in said
    assert "optim.learning_rate: 0.02 in the run, 0.5 now" in said
    assert "train.batch_size: 4 in the run, 2 now" in said
    assert "train.steps" not in said
    assert (base_run / "config.json").read_text() == before


def test_a_run_is_not_resumed_on_other_data(base_run, tmp_path):
    data = write_dataset(tmp_path / "other", digest="another")
    said = fail(train_base, "--run", base_run, "--data", data, *settings("train.steps=40"))
    assert "was started with other data: tiny, 12 images, digest 0" in said
    assert "digest another" in said
    assert find(base_run).step == 30


def test_folders_that_are_no_run(data, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    said = fail(train_base, *base_options(), "--data", data, "--run", tmp_path)
    assert "is not empty and not a run (it has no config.json); choose a new folder" in said
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    assert "is not JSON" in fail(train_base, "--run", tmp_path / "broken", "--data", data)


def test_a_dry_run_writes_nothing(data, tmp_path):
    result = invoke(train_base, *base_options(), "--run", tmp_path / "run", "--dry-run")
    assert result.exit_code == 0, result.output
    shown = json.loads(result.output[: result.output.rindex("}") + 1])
    assert shown["model"]["channels"] == 8
    assert "parameters" in result.output
    assert "4 steps of 4 = 16 examples" in result.output
    assert not (tmp_path / "run").exists()


def test_the_end_is_quiet(tmp_path, base_run):
    """An error in the middle of a run leaves threads and open files, and no noise on leaving."""
    data = write_dataset(tmp_path / "data")
    info = load_info(data, "train")
    save_info(data / "train", info)
    shard = info.shard_path(data / "train", 4, 0)
    content = bytearray(shard.read_bytes())
    content[40] ^= 1
    shard.write_bytes(content)
    process = start("cdm-train-base", *base_options(), "--data", data, "--run", tmp_path / "run")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "is damaged" in output
    assert "Exception ignored" not in output
    assert "Traceback" not in output
