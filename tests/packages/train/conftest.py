"""A tiny data set and finished runs of a base and a super-resolution stage on it."""

from pathlib import Path

import pytest

from cdm_train_base.cli import main as train_base
from cdm_train_sr.cli import main as train_sr

from ...shared.tiny import base_options, compiled_once, sr_options, succeed, write_dataset


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory):
    with compiled_once(tmp_path_factory.getbasetemp() / "programs"):
        yield


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("train") / "data")


@pytest.fixture(scope="session")
def base_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("base") / "run"
    succeed(train_base, *base_options("train.steps=30"), "--data", data, "--run", run)
    return run


@pytest.fixture(scope="session")
def sr_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("sr") / "run"
    succeed(train_sr, *sr_options("train.steps=30"), "--data", data, "--run", run)
    return run
