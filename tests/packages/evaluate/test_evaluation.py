"""The command from end to end on a tiny data set, and what it says about bad input."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from cdm_evaluate.cli import main
from cdm_evaluate.metrics import METRICS

VOID = {"meta", "img", "br"}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


class Page(HTMLParser):
    """Checks that every element is closed in order; collects text, images and addresses."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.images: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        values = dict(attrs)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "srcset", "action")]
        if tag == "img":
            self.images.append(values["src"])
            assert values["alt"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag == "path", tag

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def report(data: Path, make, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    root = tmp_path_factory.mktemp("report")
    samples = make.samples(root / "samples")
    result = run(
        *("--samples", samples, "--data", data, "--out", root / "out"),
        *("--run", make.run(root / "base"), "--run", make.run(root / "sr", "tiny <sr>")),
        *("--classifier", "glyphs", "--classifier-epochs", "12", "--batch-size", "7"),
    )
    return result, root / "out"


def test_the_command_succeeds_and_names_the_report_last(report: tuple[Result, Path]):
    result, out = report
    assert result.exit_code == 0, result.output
    assert result.stdout.strip().splitlines()[-1] == f"report: {out / 'report.html'}"
    assert "FD-train[tiny-classifier]@30" in result.stdout
    assert "validation accuracy" in result.stderr
    assert "singular" in result.stderr  # 30 images, 128 features


def test_json_has_every_figure_with_its_baseline(report: tuple[Result, Path], data: Path):
    values = json.loads((report[1] / "report.json").read_text())
    assert list(values["figures"]) == [f"{metric}[tiny-classifier]@30" for metric in METRICS]
    for figure in values["figures"].values():
        assert np.isfinite(figure["value"])
        assert figure["baseline"]["n"] == 30
    agreed = values["figures"]["agreement[tiny-classifier]@30"]
    # Samples are drawn as the data are, so they must be as recognisable.
    assert agreed["value"] > 90
    assert len(agreed["per_class"]) == 3
    (consistency,) = values["consistency"]["samples"]
    assert consistency["mean_abs_difference"] < 0.5  # of rounding
    (real,) = values["consistency"]["real"]
    assert real["mean_abs_difference"] < 0.5
    assert set(values["provenance"]["data_digest"]) == {"train", "validation"}
    assert [entry["name"] for entry in values["runs"]] == ["tiny_base", "tiny <sr>"]
    assert (data / "classifiers" / "16" / "statistics-train.npz").is_file()


def test_the_page_is_whole_and_says_everything(report: tuple[Result, Path]):
    text = (report[1] / "report.html").read_text()
    page = Page(text)
    assert page.open == []
    shown = " ".join(page.text)
    values = json.loads((report[1] / "report.json").read_text())
    for name, figure in values["figures"].items():
        assert name in shown
        assert re.search(rf"{figure['value']:.1f}"[:3], shown)
    for expected in (
        "red <b>&",
        "green",
        "tiny <sr>",
        "8×8 → 16×16",
        "tiny_sr, s = 50",
        "cdm-evaluate",
    ):
        assert expected in shown
    # One mosaic on top; for each of three classes two stages and the real images.
    assert len(page.images) == 1 + 3 * 3
    assert text.count("<svg") == 4


def test_the_page_loads_nothing_and_escapes_everything(report: tuple[Result, Path]):
    text = (report[1] / "report.html").read_text()
    page = Page(text)
    assert page.addresses
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert "://" not in text
    assert "@import" not in text
    assert "script" not in page.tags
    assert "b" in page.tags  # ours; the one in a class's name must stay text
    assert "red <b>" not in text


def test_a_second_run_reuses_classifier_and_statistics(
    report: tuple[Result, Path], data: Path, make, tmp_path: Path
):
    result = run(
        *("--samples", make.samples(tmp_path / "samples"), "--data", data),
        *("--out", tmp_path / "out", "--classifier", "glyphs", "--classifier-epochs", "12"),
    )
    assert result.exit_code == 0, result.output
    assert "reused" in result.stderr
    assert "statistics of" not in result.stderr
    first = json.loads((report[1] / "report.json").read_text())["figures"]
    again = json.loads((tmp_path / "out" / "report.json").read_text())["figures"]
    for name, figure in first.items():
        # The batch size was another: only the order of the sums differs.
        assert again[name]["value"] == pytest.approx(figure["value"], rel=1e-4, abs=1e-4)


def fails(message: str, *arguments: str | Path) -> None:
    result = run(*arguments)
    assert result.exit_code != 0
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert re.search(message, result.stderr), result.stderr


def test_bad_input_is_one_clear_message(data: Path, make, tmp_path: Path):
    samples, out = make.samples(tmp_path / "samples"), tmp_path / "out"
    good = ("--samples", samples, "--data", data, "--out", out)
    fails("give --samples, --data and --out", "--samples", samples)
    fails("samples folder .* does not exist", *good, "--samples", tmp_path / "no")
    fails("no data set", *good, "--data", tmp_path / "no")
    fails("run folder .* does not exist", *good, "--run", tmp_path / "no")
    fails("did you mean glyphs", *good, "--classifier", "glyph")
    small = make.arrays()["stage_8"]
    odd = {"arr_0": small[:, :6, :6], "stage_8": None, "stage_16": None}
    fails("does not hold resolution 6", *good, "--samples", make.samples(tmp_path / "six", **odd))
    labels = make.arrays()["arr_1"] + 5
    wrong = make.samples(tmp_path / "labels", arr_1=labels)
    fails("labels of .* from 5 to 7, but .* 3 classes", *good, "--samples", wrong)
    assert not out.exists()


def test_data_that_cannot_be_scored(make, tmp_path: Path):
    samples = make.samples(tmp_path / "samples")
    plain = make.data(tmp_path / "plain", names=("all",))
    fails("has no classes", "--samples", samples, "--data", plain, "--out", tmp_path / "o")
    half = make.data(tmp_path / "half")
    (half / "validation" / "dataset_info.json").unlink()
    fails("incomplete", "--samples", samples, "--data", half, "--out", tmp_path / "o")


def test_help_shows_an_example():
    result = run("--help")
    assert result.exit_code == 0
    assert "--samples runs/demo/samples" in result.stdout
