"""The Inception Score (Salimans et al. 2016, arXiv:1606.03498) from any probabilities."""

from collections.abc import Mapping

import numpy as np

from cdm_evaluate.metrics.figure import Figure
from cdm_evaluate.metrics.observations import Observations
from cdm_evaluate.statistics import Moments

SPLITS = 10
_ORDER_SEED = 0


def inception_score(probabilities: np.ndarray, splits: int = SPLITS) -> tuple[float, float]:
    """exp(E_x KL(p(y|x) || p(y))), its mean and (population) standard deviation over the splits.

    `probabilities` is [n, k], rows sum to 1; splits are consecutive rows, as equal as they can be.
    The score lies in 1…k. Raises ValueError if there are fewer images than splits.
    """
    if not 1 <= splits <= len(probabilities):
        raise ValueError(f"{len(probabilities)} images cannot be divided into {splits} splits")
    scores = [_score(part) for part in np.array_split(probabilities, splits)]
    return float(np.mean(scores)), float(np.std(scores))


def inception_score_figure(seen: Observations, references: Mapping[str, Moments]) -> Figure:
    """The score over 10 splits; over n of them, with a warning, where there are fewer images."""
    splits = min(SPLITS, seen.n)
    # Samples may come class by class; each split must hold a fair mixture of them.
    order = np.random.default_rng(_ORDER_SEED).permutation(seen.n)
    mean, deviation = inception_score(seen.probabilities[order], splits)
    per_split = seen.n // splits
    classes = seen.probabilities.shape[1]
    warning = None
    if per_split < 10 * classes:
        warning = (
            f"{splits} splits of {per_split} images for {classes} classes: too few per class to "
            "fill the marginal, so the score is too small; compare it at this n only"
        )
    return Figure(
        metric="IS",
        network=seen.network,
        n=seen.n,
        value=mean,
        deviation=deviation,
        better="higher",
        meaning="Whether each sample is plainly of one class and all classes occur, from 1 to the "
        f"number of classes, {classes}; mean and deviation over {splits} splits.",
        warning=warning,
    )


def _score(probabilities: np.ndarray) -> float:
    p = probabilities.astype(np.float64)
    marginal = p.mean(axis=0, keepdims=True)
    # p log p goes to 0 with p; where p > 0 its marginal is too.
    ratio = np.divide(p, marginal, out=np.ones_like(p), where=p > 0)
    return float(np.exp((p * np.log(ratio)).sum(axis=1).mean()))
