"""How often the classifier sees in an image the class it is meant to show."""

from collections.abc import Mapping

import numpy as np

from cdm_evaluate.metrics.figure import Figure
from cdm_evaluate.metrics.observations import Observations
from cdm_evaluate.statistics import Moments


def agreement(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, list[float | None]]:
    """The fraction (0…1) of images whose likeliest class is the intended one: overall, per class.

    `probabilities` is [n, k], `labels` [n] in 0…k-1. A class without images has None.
    """
    right = probabilities.argmax(axis=1) == labels
    classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=classes)
    hits = np.bincount(labels[right], minlength=classes)
    per_class = [
        float(hit / count) if count else None for hit, count in zip(hits, counts, strict=True)
    ]
    return float(right.mean()), per_class


def agreement_figure(seen: Observations, references: Mapping[str, Moments]) -> Figure:
    """The agreement in per cent."""
    overall, per_class = agreement(seen.probabilities, seen.labels)
    return Figure(
        metric="agreement",
        network=seen.network,
        n=seen.n,
        value=100 * overall,
        unit="%",
        better="higher",
        meaning="Samples in which the classifier, trained on real images, sees the class that was "
        "asked for.",
        per_class=tuple(None if part is None else 100 * part for part in per_class),
    )
