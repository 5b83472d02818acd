"""Mean and covariance of features: streaming, mergeable, kept in files (docs/files.md)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cdm.files import whole_file
from cdm_evaluate.arrays import read_arrays


@dataclass(frozen=True)
class Moments:
    """Count, mean and scatter of feature vectors, all in float64.

    `scatter` is the sum of (x - mean)(x - mean)^T. Parts are joined by the update of Chan, Golub
    and LeVeque (1983), which does not lose digits where the mean is large beside the spread, as
    sums of squares do. Memory is that of one [d, d] matrix, whatever the count.
    """

    count: int
    mean: np.ndarray  # [d]
    scatter: np.ndarray  # [d, d]

    @classmethod
    def empty(cls, dimension: int) -> "Moments":
        """No features yet."""
        return cls(0, np.zeros(dimension), np.zeros((dimension, dimension)))

    def add(self, features: np.ndarray) -> "Moments":
        """With these features [n, d] added; ValueError if their shape or a value is not usable."""
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise ValueError(f"features are {features.shape}, expected [n, {len(self.mean)}]")
        if not np.isfinite(features).all():
            raise ValueError("features hold NaN or infinity; the feature network is damaged")
        if len(features) == 0:
            return self
        values = features.astype(np.float64)
        mean = values.mean(axis=0)
        centred = values - mean[None, :]
        return self.merge(Moments(len(values), mean, centred.T @ centred))

    def merge(self, other: "Moments") -> "Moments":
        """The moments of both sets together."""
        count = self.count + other.count
        if count == 0:
            return self
        step = other.mean - self.mean
        scatter = self.scatter + other.scatter
        scatter = scatter + np.outer(step, step) * (self.count * other.count / count)
        return Moments(count, self.mean + step * (other.count / count), scatter)

    @property
    def covariance(self) -> np.ndarray:
        """[d, d], with divisor n - 1; ValueError for fewer than 2 features."""
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 images, got {self.count}")
        return self.scatter / (self.count - 1)


def save_statistics(path: str | Path, moments: Moments, fingerprint: str) -> None:
    """Writes `mu`, `sigma`, `n` and the fingerprint of network and data, whole or not at all."""
    with whole_file(path) as file:
        np.savez(
            file,
            mu=moments.mean,
            sigma=moments.covariance,
            n=np.int64(moments.count),
            fingerprint=np.array(fingerprint),
        )


def load_statistics(path: str | Path, fingerprint: str) -> Moments | None:
    """The moments of this network and these data, or None: no file, or one of other origin.

    ValueError if the file is damaged.
    """
    path = Path(path)
    if not path.exists():
        return None
    try:
        stored = read_arrays(path)
        if str(stored["fingerprint"]) != fingerprint:
            return None
        count, mean, sigma = int(stored["n"]), stored["mu"], stored["sigma"]
    except (ValueError, KeyError) as error:
        raise ValueError(f"{error}; remove {path}, it is computed again") from error
    return Moments(count, mean, sigma * (count - 1))
