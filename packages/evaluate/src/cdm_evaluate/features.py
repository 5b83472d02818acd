"""Feature networks: anything that turns uint8 images into features and class probabilities."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from cdm.data.reader import Split
from cdm.images import from_uint8
from cdm.mesh import compiler_options
from cdm_evaluate.classifier.cache import TrainedClassifier, split_digest
from cdm_evaluate.classifier.training import network
from cdm_evaluate.metrics.observations import Observations
from cdm_evaluate.statistics import Moments, load_statistics, save_statistics

Part = tuple[np.ndarray, np.ndarray]
"""Images uint8 [b, h, w, 3] and their labels int64 [b]."""


@dataclass(frozen=True, kw_only=True)
class FeatureNetwork:
    """What the metrics need to know of a network.

    `look(images)` takes uint8 [b, h, w, 3] and returns (features [b, dimension], logits [b, k]).
    `digest` changes when the network does: statistics of another one are not used.
    """

    name: str
    dimension: int
    digest: str
    folder: Path  # where statistics of the data set are kept
    look: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def classifier_features(trained: TrainedClassifier, data_name: str) -> FeatureNetwork:
    """The classifier as a feature network, named after its data."""
    net = network(trained.config, trained.num_classes)
    apply = jax.jit(
        lambda params, images: net.apply(params, from_uint8(images)),
        compiler_options=compiler_options(),
    )

    def look(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features, logits = apply(trained.params, images)
        return np.asarray(features), np.asarray(logits)

    return FeatureNetwork(
        name=f"{data_name}-classifier",
        dimension=trained.config.channels[-1],
        digest=trained.digest,
        folder=trained.folder,
        look=look,
    )


def observe(net: FeatureNetwork, parts: Iterable[Part], batch_size: int) -> Observations:
    """Goes once through the images, which come in parts of at most `batch_size`."""
    moments = Moments.empty(net.dimension)
    probabilities, labels = [], []
    for images, part_labels in parts:
        features, logits = _look(net, images, batch_size)
        moments = moments.add(features)
        probabilities.append(_softmax(logits).astype(np.float32))
        labels.append(part_labels)
    return Observations(
        net.name, moments, np.concatenate(probabilities), np.concatenate(labels).astype(np.int64)
    )


def split_moments(
    net: FeatureNetwork,
    split: Split,
    resolution: int,
    batch_size: int,
    say: Callable[[str], None],
) -> Moments:
    """The statistics of a whole split, from their file if it is of this network and these data."""
    path = net.folder / f"statistics-{split.info.split}.npz"
    fingerprint = hashlib.sha256(
        f"{net.digest} {split_digest(split.info, resolution)}".encode()
    ).hexdigest()
    moments = load_statistics(path, fingerprint)
    if moments is None:
        say(f"statistics of {len(split)} {split.info.split} images")
        moments = Moments.empty(net.dimension)
        for images, _ in split_parts(split, np.arange(len(split)), resolution, batch_size):
            moments = moments.add(_look(net, images, batch_size)[0])
        save_statistics(path, moments, fingerprint)
    return moments


def split_parts(split: Split, rows: np.ndarray, resolution: int, batch_size: int) -> Iterable[Part]:
    """These records of a split in parts of `batch_size`."""
    for start in range(0, len(rows), batch_size):
        yield split.read(rows[start : start + batch_size], resolution)


def array_parts(images: np.ndarray, labels: np.ndarray, batch_size: int) -> Iterable[Part]:
    """Images in memory in parts of `batch_size`."""
    for start in range(0, len(images), batch_size):
        yield images[start : start + batch_size], labels[start : start + batch_size]


def _look(net: FeatureNetwork, images: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A last, smaller part is filled up, for one compiled program to do for all."""
    count = len(images)
    if count < size:
        filling = np.zeros((size - count, *images.shape[1:]), images.dtype)
        images = np.concatenate([images, filling])
    features, logits = net.look(images)
    return features[:count], logits[:count]


def _softmax(logits: np.ndarray) -> np.ndarray:
    values = logits.astype(np.float64)
    values = np.exp(values - values.max(axis=1, keepdims=True))
    return values / values.sum(axis=1, keepdims=True)
