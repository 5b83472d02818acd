"""What a feature network saw of a set of images: all that a metric may use."""

from dataclasses import dataclass

import numpy as np

from cdm_evaluate.statistics import Moments


@dataclass(frozen=True)
class Observations:
    """A set of images as a feature network sees it."""

    network: str  # name of the feature network
    moments: Moments  # of the features
    probabilities: np.ndarray  # [n, k] float32, a distribution over the classes for each image
    labels: np.ndarray  # [n] int64, the class that each image is meant to show

    @property
    def n(self) -> int:
        """How many images."""
        return len(self.labels)
