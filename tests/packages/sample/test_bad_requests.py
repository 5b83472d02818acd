"""What cdm-sample says about requests that cannot be met; nothing is compiled for these."""

import dataclasses
import json
from pathlib import Path

import pytest

from cdm.config import AugmentConfig
from cdm.training.checkpoint import find
from cdm_sample.cascade import Link, check_cascade
from cdm_sample.cli import main

from ...shared.tiny import fail


@pytest.fixture(scope="module")
def folders(base_run, sr_run, data, tmp_path_factory) -> dict[str, Path]:
    return {
        "BASE": base_run,
        "SR": sr_run,
        "DATA": data,
        "EMPTY": tmp_path_factory.mktemp("empty"),
        "NONE": Path("/none/such"),
    }


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("--sr SR", "nothing to start from: give --base RUN, or --low-res DATA"),
        ("--base BASE --low-res DATA", "--base and --low-res were both given"),
        ("--low-res DATA", "--low-res images need an --sr run"),
        ("--base NONE", "is no folder; expected the run folder of a trained stage"),
        ("--base EMPTY", "is not a run or a checkpoint"),
        ("--base BASE --sr EMPTY", "is not a run or a checkpoint"),
        ("--base SR", "is a super-resolution stage: it needs a --base run before it"),
        ("--base BASE --sr BASE", "is a base stage and takes no low-res images"),
        ("--base BASE --sr SR --sr SR", "takes images of 4 pixels, but is given 8"),
        ("--base BASE --sr SR --s 20", "--s 20 for tiny_sr"),
        ("--base BASE --sr SR --s -1", "-1 is not in the range x>=0"),
        ("--base BASE --sr SR --s 1 --s 2", "--s was given 2 times for 1 stages"),
        ("--base BASE --sr SR --augmentation truncatd", "is not one of 'truncated'"),
        ("--base BASE --sr SR --steps 21", "cannot take 21 sampling steps; expected 1 … 20"),
        ("--base BASE --sampler ddimm", "unknown sampler 'ddimm'; did you mean ddim"),
        ("--base BASE --classes cow", "unknown class 'cow'"),
        ("--base BASE --classes catt", "did you mean cat"),
        ("--base BASE --classes 10", "expected a class from 0 to 9, or a name"),
        ("--base BASE --num 0", "0 is not in the range x>=1"),
        (
            "--low-res DATA --sr SR --num 4 --augmentation truncated --s 3",
            "there is none for given low-res",
        ),
        ("--low-res DATA --sr SR --num 13", "has only 12 images"),
        ("--low-res DATA --sr SR --classes 1", "--classes chooses what a base stage makes"),
        ("--low-res DATA --sr SR --split test", "has no split 'test'"),
        ("--low-res EMPTY --sr SR", "is not a data set"),
    ],
)
def test_requests(folders, request_, message, tmp_path):
    arguments = [folders.get(word, word) for word in request_.split()]
    assert message in fail(main, *arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_other_things_is_left_alone(base_run, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    said = fail(main, "--base", base_run, "--out", tmp_path)
    assert "is not empty and holds no samples (it has letter.txt)" in said
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_a_folder_of_other_samples_is_left_alone(base_run, tmp_path):
    (tmp_path / "samples.json").write_text(json.dumps({"request": {"num": 3, "seed": 0}}))
    said = fail(main, "--base", base_run, "--num", 4, "--out", tmp_path)
    assert "holds samples of another run (it differs in" in said
    assert "num" in said
    assert "seed" not in said
    assert [p.name for p in tmp_path.iterdir()] == ["samples.json"]


def changed(link: Link, **sections) -> Link:
    config = dataclasses.replace(link.trained.config, **sections)
    return dataclasses.replace(link, trained=dataclasses.replace(link.trained, config=config))


def test_stages_that_do_not_belong_together(base_run, sr_run):
    base, sr = Link(trained=find(base_run)), Link(trained=find(sr_run), variant="truncated", s=3)
    check_cascade([base, sr], None)

    plain = changed(sr, augment=AugmentConfig(conditioning="none"))
    with pytest.raises(ValueError, match="without Gaussian conditioning augmentation"):
        check_cascade([base, plain], None)
    check_cascade([base, dataclasses.replace(plain, variant="none", s=0)], None)

    other = changed(sr, augment=dataclasses.replace(sr.trained.config.augment, timesteps=40))
    with pytest.raises(ValueError, match="trained on noise of another process"):
        check_cascade([base, other], None)
    check_cascade([base, dataclasses.replace(other, variant="non-truncated")], None)

    classes = changed(sr, model=dataclasses.replace(sr.trained.config.model, num_classes=3))
    with pytest.raises(ValueError, match="has 3 classes, but the stage before it"):
        check_cascade([base, classes], None)
