"""The metrics, one file each. To add one: write its file, add its line to METRICS."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from cdm_evaluate.metrics.agreement import agreement_figure
from cdm_evaluate.metrics.figure import Figure
from cdm_evaluate.metrics.frechet import frechet_train, frechet_validation
from cdm_evaluate.metrics.inception_score import inception_score_figure
from cdm_evaluate.metrics.observations import Observations
from cdm_evaluate.statistics import Moments


class Metric(NamedTuple):
    """How a figure is computed, and which real images show what a perfect model would reach.

    `compute(seen, references)` scores observations; `references` are the moments of a whole split,
    by its name. The images of the split `baseline` are scored in the same way for comparison; it is
    never the split that the metric measures the distance to, whose own images would be favoured.
    """

    compute: Callable[[Observations, Mapping[str, Moments]], Figure]
    baseline: str


METRICS: dict[str, Metric] = {
    "FD-train": Metric(frechet_train, baseline="validation"),
    "FD-validation": Metric(frechet_validation, baseline="train"),
    "IS": Metric(inception_score_figure, baseline="validation"),
    "agreement": Metric(agreement_figure, baseline="validation"),
}
