"""Training curves and their charts."""

import math
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cdm_evaluate.curves import read_curve
from cdm_evaluate.report.charts import Line, line_chart


def test_reads_the_series_of_a_run(tmp_path: Path, make):
    curve = read_curve(make.run(tmp_path / "run"))
    assert curve.name == "tiny_base"
    assert curve.steps == 39
    assert curve.series["loss"][1] == (2, 0.5)
    assert curve.last("loss") == pytest.approx(1 / 39)
    assert curve.last("grad_norm") is None


def test_later_lines_count_and_a_line_cut_short_does_not(tmp_path: Path, make):
    run = make.run(tmp_path / "run")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "loss": 9.0}\n{"step": 50, "loss": NaN}\n{"step": 60, "lo')
    curve = read_curve(run)
    assert dict(curve.series["loss"])[2] == 9.0
    assert curve.steps == 39


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"step": 1, "lo\n{"step": 2, "loss": 1.0}\n', r"line 1 .* is not JSON"),
        ('{"loss": 1.0}\n', "expected an object with a step"),
        ("", "no numbers yet"),
    ],
)
def test_bad_metrics(tmp_path: Path, make, content: str, message: str):
    run = make.run(tmp_path / "run")
    (run / "metrics.jsonl").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_curve(run)


def test_missing_runs(tmp_path: Path):
    with pytest.raises(ValueError, match=r"run folder .* does not exist"):
        read_curve(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"has no metrics\.jsonl"):
        read_curve(tmp_path)


class Chart(HTMLParser):
    """The tick labels of the y axis, and the paths of the lines."""

    def __init__(self, text: str):
        super().__init__()
        self.ticks: list[float] = []
        self.paths: list[str] = []
        self._tick = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self._tick = tag == "text" and values.get("class") == "end"
        if tag == "path" and values["class"].startswith("line "):
            self.paths.append(values["d"])

    def handle_data(self, data):
        if self._tick:
            self.ticks.append(float(data))
        self._tick = False


def heights(path: str) -> list[float]:
    return [float(point.split()[1]) for point in path.removeprefix("M").split("L")]


def test_a_wide_range_gets_a_logarithmic_axis():
    """Equal factors are equal heights."""
    line = Line(name="loss", x=[0, 1, 2], y=[1.0, 0.1, 0.01])
    chart = Chart(line_chart([line], title="loss", x_label="step"))
    top, middle, bottom = heights(chart.paths[0])
    assert top < middle < bottom
    assert bottom - middle == pytest.approx(middle - top)
    assert {1.0, 0.1, 0.01} <= set(chart.ticks)


def test_a_narrow_range_gets_a_linear_axis():
    line = Line(name="loss", x=[0, 1, 2], y=[1.0, 2.0, 3.0])
    chart = Chart(line_chart([line], title="loss", x_label="step"))
    low, middle, high = heights(chart.paths[0])
    assert low - middle == pytest.approx(middle - high)
    assert chart.ticks == [1.0, 1.5, 2.0, 2.5, 3.0]


@pytest.mark.parametrize(
    ("x", "y"),
    [([5], [1.0]), (range(2000), [0.5] * 2000), (range(5), [-1.0, 0.0, 1e4, 2.0, 3.0])],
)
def test_odd_lines_are_drawn_within_the_chart(x, y):
    chart = Chart(line_chart([Line(name="a", x=x, y=y)], title="t", x_label="x"))
    points = chart.paths[0].removesuffix("h0")
    assert all(0 <= height <= 240 for height in heights(points))
    assert points.count("L") < 300
    assert all(math.isfinite(tick) for tick in chart.ticks)


def test_a_chart_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one point"):
        line_chart([Line(name="a", x=[], y=[])], title="t", x_label="x")


def test_chart_texts_are_escaped():
    line = Line(name='<a"b>', x=[1, 2], y=[1.0, 2.0])
    chart = line_chart([line, line], title='<t"', x_label="<x>")
    assert "<a" not in chart
    assert '<t"' not in chart
    assert "<x>" not in chart
