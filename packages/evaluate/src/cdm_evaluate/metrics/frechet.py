"""Fréchet distance between Gaussians fitted to features (Heusel et al. 2017, arXiv:1706.08500)."""

from collections.abc import Mapping

import numpy as np

from cdm_evaluate.metrics.figure import Figure
from cdm_evaluate.metrics.observations import Observations
from cdm_evaluate.statistics import Moments


def frechet_distance(a: Moments, b: Moments) -> float:
    """d² = |μ_a - μ_b|² + tr(Σ_a + Σ_b - 2 (Σ_a Σ_b)^½), in float64 (Heusel et al., eq. 6).

    The trace of (Σ_a Σ_b)^½ is taken as that of the symmetric (Σ_a^½ Σ_b Σ_a^½)^½, which has the
    same eigenvalues. So it stays real and exact where a covariance is singular, and needs no
    general matrix square root.

    Raises ValueError if the dimensions differ or a set has fewer than 2 images.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(
            f"features of {len(a.mean)} and {len(b.mean)} dimensions cannot be compared; "
            "both sets must go through the same feature network"
        )
    root = _symmetric_root(a.covariance)
    middle = root @ b.covariance @ root
    # Rounding makes both the product asymmetric and zero eigenvalues slightly negative.
    eigenvalues = np.linalg.eigvalsh((middle + middle.T) / 2).clip(min=0)
    step = a.mean - b.mean
    spread = np.trace(a.covariance) + np.trace(b.covariance) - 2 * np.sqrt(eigenvalues).sum()
    # The spread is never negative but for rounding, which matters between equal sets only.
    return float(step @ step + max(spread, 0.0))


def frechet_train(seen: Observations, references: Mapping[str, Moments]) -> Figure:
    """The distance to all training images: the paper's main number."""
    return _figure(
        seen,
        references,
        "train",
        "How far the samples are, as a distribution, from the images the model was trained on.",
    )


def frechet_validation(seen: Observations, references: Mapping[str, Moments]) -> Figure:
    """The distance to all validation images: much larger than to train means memorising."""
    return _figure(
        seen,
        references,
        "validation",
        "The same distance to images that training never saw; much more than to train would mean "
        "that the model memorised.",
    )


def _figure(
    seen: Observations, references: Mapping[str, Moments], split: str, meaning: str
) -> Figure:
    dimension = len(seen.moments.mean)
    fewest = min(seen.n, references[split].count)
    warning = None
    if fewest <= dimension:
        warning = (
            f"{fewest} images span at most {fewest - 1} of {dimension} feature dimensions: the "
            "covariance is singular and the distance too large; compare it at this n only"
        )
    return Figure(
        metric=f"FD-{split}",
        network=seen.network,
        n=seen.n,
        value=frechet_distance(seen.moments, references[split]),
        better="lower",
        meaning=meaning,
        warning=warning,
    )


def _symmetric_root(matrix: np.ndarray) -> np.ndarray:
    """The square root of a symmetric positive semi-definite matrix [d, d]."""
    values, vectors = np.linalg.eigh(matrix)
    scaled = vectors * np.sqrt(values.clip(min=0))[None, :]
    return scaled @ vectors.T
