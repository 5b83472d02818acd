"""Streaming moments and their files."""

from pathlib import Path

import numpy as np
import pytest

from cdm_evaluate.statistics import Moments, load_statistics, save_statistics


@pytest.fixture
def features() -> np.ndarray:
    # A mean that is large beside the spread, where sums of squares would lose the digits.
    return 1e6 + np.random.default_rng(0).standard_normal((101, 5)) * np.arange(1.0, 6.0)


def test_parts_give_what_all_at_once_gives(features: np.ndarray):
    moments = Moments.empty(5)
    for part in np.array_split(features, [1, 1, 30, 77]):
        moments = moments.add(part)
    assert moments.count == 101
    np.testing.assert_allclose(moments.mean, features.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(moments.covariance, np.cov(features, rowvar=False), rtol=1e-8)


def test_merging_is_adding(features: np.ndarray):
    a, b = Moments.empty(5).add(features[:40]), Moments.empty(5).add(features[40:])
    whole = Moments.empty(5).add(features)
    for merged in (a.merge(b), b.merge(a), Moments.empty(5).merge(whole)):
        np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-14)
        np.testing.assert_allclose(merged.covariance, whole.covariance, rtol=1e-8)
    assert Moments.empty(5).merge(Moments.empty(5)).count == 0


def test_float32_features_are_summed_in_float64():
    features = np.full((1000, 1), 0.1, np.float32)
    assert Moments.empty(1).add(features).mean[0] == pytest.approx(
        float(np.float32(0.1)), abs=1e-12
    )


def test_bad_features_are_refused(features: np.ndarray):
    with pytest.raises(ValueError, match=r"\(101, 5\), expected \[n, 4\]"):
        Moments.empty(4).add(features)
    with pytest.raises(ValueError, match="NaN"):
        Moments.empty(5).add(np.full((1, 5), np.nan))
    with pytest.raises(ValueError, match="at least 2 images, got 1"):
        _ = Moments.empty(5).add(features[:1]).covariance


def test_statistics_files_are_of_one_network_and_data(tmp_path: Path, features: np.ndarray):
    moments = Moments.empty(5).add(features)
    path = tmp_path / "statistics-train.npz"
    assert load_statistics(path, "ours") is None
    save_statistics(path, moments, "ours")
    back = load_statistics(path, "ours")
    assert back is not None
    assert back.count == 101
    np.testing.assert_array_equal(back.mean, moments.mean)
    np.testing.assert_allclose(back.covariance, moments.covariance, rtol=1e-14)
    assert load_statistics(path, "another") is None
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match="damaged"):
        load_statistics(path, "ours")
