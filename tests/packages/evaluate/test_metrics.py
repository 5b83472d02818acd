"""The metrics against golden figures, closed forms and their limits."""

from pathlib import Path

import numpy as np
import pytest

from cdm_evaluate.metrics import METRICS
from cdm_evaluate.metrics.agreement import agreement
from cdm_evaluate.metrics.frechet import frechet_distance
from cdm_evaluate.metrics.inception_score import inception_score
from cdm_evaluate.metrics.observations import Observations
from cdm_evaluate.statistics import Moments

GOLDEN = Path(__file__).parents[2] / "golden" / "set_metrics.npz"


def moments(features: np.ndarray) -> Moments:
    return Moments.empty(features.shape[1]).add(features)


def gaussian(mean: np.ndarray, covariance: np.ndarray) -> Moments:
    """Moments with exactly this mean and covariance."""
    return Moments(11, mean, covariance * 10)


def observations(probabilities: np.ndarray, labels: np.ndarray, dimension: int = 4) -> Observations:
    features = np.random.default_rng(0).standard_normal((len(labels), dimension))
    return Observations("toy-classifier", moments(features), probabilities, labels)


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_frechet_distance_is_golden():
    golden = np.load(GOLDEN)
    got = frechet_distance(moments(golden["real_features"]), moments(golden["fake_features"]))
    assert got == pytest.approx(float(golden["fid"]), rel=1e-10)


def test_inception_score_is_golden():
    golden = np.load(GOLDEN)
    mean, deviation = inception_score(softmax(golden["logits"]), 10)
    assert mean == pytest.approx(float(golden["inception_score_mean_10_splits"]), rel=1e-10)
    assert deviation == pytest.approx(float(golden["inception_score_std_10_splits"]), rel=1e-10)


def test_frechet_distance_of_commuting_gaussians():
    """Covariances with common axes: Σ (σ_a - σ_b)² beside the distance of the means."""
    axes, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))
    a, b = np.array([4.0, 1.0, 9.0, 0.25, 2.0]), np.array([1.0, 1.0, 4.0, 2.25, 0.0])
    mean = np.arange(5.0)
    got = frechet_distance(
        gaussian(mean, axes @ np.diag(a) @ axes.T), gaussian(-mean, axes @ np.diag(b) @ axes.T)
    )
    expected = 4 * (mean**2).sum() + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    # An eigenvalue of zero comes out as about 1e-17, and its root as 1e-8.
    assert got == pytest.approx(expected, rel=1e-8)


def test_frechet_distance_of_general_gaussians():
    """A second implementation, by the eigenvalues of the product itself."""
    generator = np.random.default_rng(1)
    a, b = (
        moments(generator.standard_normal((50, 6)) @ generator.standard_normal((6, 6)))
        for _ in range(2)
    )
    roots = np.sqrt(np.linalg.eigvals(a.covariance @ b.covariance).real)
    expected = ((a.mean - b.mean) ** 2).sum()
    expected += np.trace(a.covariance + b.covariance) - 2 * roots.sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_singular_covariances():
    """Fewer images than dimensions: finite, zero to itself, symmetric."""
    generator = np.random.default_rng(2)
    few, others = generator.standard_normal((5, 30)), generator.standard_normal((7, 30))
    assert frechet_distance(moments(few), moments(few)) == pytest.approx(0, abs=1e-5)
    there = frechet_distance(moments(few), moments(others))
    assert there > 1
    assert there == pytest.approx(frechet_distance(moments(others), moments(few)), rel=1e-6)


def test_frechet_distance_refuses_other_dimensions():
    with pytest.raises(ValueError, match="3 and 4 dimensions"):
        frechet_distance(moments(np.eye(3)), moments(np.eye(4)))


def test_inception_score_between_its_limits():
    assert inception_score(np.full((100, 7), 1 / 7), 10) == pytest.approx((1, 0))
    assert inception_score(np.tile(np.eye(7), (10, 1)), 10) == pytest.approx((7, 0))
    assert inception_score(np.tile(np.eye(7)[:1], (70, 1)), 10) == pytest.approx((1, 0))


def test_inception_score_needs_an_image_for_each_split():
    with pytest.raises(ValueError, match="9 images cannot be divided into 10"):
        inception_score(np.eye(9), 10)


def test_agreement_overall_and_by_class():
    probabilities = np.eye(4)[[0, 0, 1, 1, 2]]
    overall, per_class = agreement(probabilities, np.array([0, 0, 1, 0, 2]))
    assert overall == 0.8
    assert per_class == [pytest.approx(2 / 3), 1.0, 1.0, None]


def test_every_figure_is_named_with_its_network_and_n():
    labels = np.arange(40) % 5
    seen = observations(np.eye(5)[labels], labels)
    references = {
        split: moments(np.random.default_rng(3).standard_normal((90, 4)))
        for split in ("train", "validation")
    }
    names = [metric.compute(seen, references).name for metric in METRICS.values()]
    assert names == [f"{metric}[toy-classifier]@40" for metric in METRICS]


def test_inception_score_of_samples_that_come_class_by_class():
    """Consecutive splits of sorted samples would hold one class each and score 1."""
    labels = np.repeat(np.arange(4), 100)
    figure = METRICS["IS"].compute(observations(np.eye(4)[labels], labels), {})
    assert figure.value > 3.8
    assert figure.warning is None
    few = METRICS["IS"].compute(observations(np.eye(4)[labels[::2]], labels[::2]), {})
    assert "too few per class" in str(few.warning)
