"""The five commands one after the other, as a user types them, on tiny glyphs."""

import json
from pathlib import Path

import numpy as np
import pytest

from cdm_data_prep.cli import main as data_prep
from cdm_evaluate.cli import main as evaluate
from cdm_sample.cli import main as sample
from cdm_train_base.cli import main as train_base
from cdm_train_sr.cli import main as train_sr

from ..shared.tiny import base_options, compiled_once, sr_options, succeed


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory):
    with compiled_once(tmp_path_factory.getbasetemp() / "programs"):
        yield


def test_from_glyphs_to_a_report(tmp_path: Path):
    data, base, sr = tmp_path / "data", tmp_path / "base", tmp_path / "sr"
    samples, out = tmp_path / "samples", tmp_path / "report"

    succeed(
        data_prep,
        *("--source", "glyphs", "--num", 60, "--num-validation", 40, "--shards", 2),
        *("--resolutions", "4,8", "--out", data),
    )
    succeed(train_base, *base_options(), "--data", data, "--run", base)
    succeed(train_sr, *sr_options(), "--data", data, "--run", sr)
    succeed(
        sample,
        *("--base", base, "--sr", sr, "--num", 20, "--batch-size", 4, "--s", 5),
        *("--classes", "3,7", "--out", samples),
    )
    result = succeed(
        evaluate,
        *("--samples", samples, "--data", data, "--run", base, "--run", sr, "--out", out),
        *("--classifier-epochs", 1, "--batch-size", 20),
    )

    assert result.stdout.strip().splitlines()[-1] == f"report: {out / 'report.html'}"
    page = (out / "report.html").read_text()
    figures = json.loads((out / "report.json").read_text())["figures"]
    assert figures
    for name, figure in figures.items():
        assert name.endswith("@20")
        assert np.isfinite(figure["value"])
        assert name in page
    for name in ("tiny_base", "tiny_sr"):
        assert name in page
    with np.load(samples / "samples.npz") as file:
        assert set(file["arr_1"]) == {3, 7}
