"""One evaluation from beginning to end: samples and data in, every figure of the report out."""

import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from cdm.data.reader import Split, open_split
from cdm_evaluate.classifier.cache import TrainedClassifier, obtain_classifier, split_digest
from cdm_evaluate.classifier.config import ClassifierConfig
from cdm_evaluate.consistency import Consistency, stage_consistency
from cdm_evaluate.curves import Curve, read_curve
from cdm_evaluate.features import (
    FeatureNetwork,
    array_parts,
    classifier_features,
    observe,
    split_moments,
    split_parts,
)
from cdm_evaluate.metrics import METRICS
from cdm_evaluate.metrics.figure import Figure
from cdm_evaluate.metrics.observations import Observations
from cdm_evaluate.samples import Samples, check_against_data, read_samples

SPLITS = ("train", "validation")
# Which real images stand beside the samples and which are scored as the baseline: fixed, so that
# evaluations of the same data can be compared.
_BASELINE_SEED = 0
_GALLERY_SEED = 1


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """What to evaluate, and by which classifier."""

    samples: Path
    data: Path
    runs: tuple[Path, ...] = ()
    classifier: ClassifierConfig
    batch_size: int = 250  # images that go through the feature network at a time
    gallery_classes: int = 20  # at most so many classes are shown as pictures
    gallery_images: int = 8  # of each class and kind
    command: str = ""  # as it was typed, for the report


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A figure of the samples, and the same figure of as many real images."""

    figure: Figure
    baseline: Figure


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All results; the report only lays them out."""

    samples: Samples
    data: Path
    data_name: str
    class_names: tuple[str, ...]
    classifier: TrainedClassifier
    scored: list[Scored]
    consistency: list[Consistency]
    real_consistency: list[Consistency]  # of validation images; empty if they lack a resolution
    real_images: dict[int, np.ndarray]  # class shown in the gallery: uint8 [m, r, r, 3], m may be 0
    gallery_images: int
    curves: list[Curve]
    provenance: dict[str, Any]


def evaluate(settings: EvaluationSettings, say: Callable[[str], None]) -> Evaluation:
    """Scores samples against a data set. `say` gets a line for each thing that takes a while.

    Cheap checks come first, so that no classifier is trained for input that cannot be scored.

    Raises ValueError for samples, data or runs that are missing, damaged, or do not fit together.
    """
    if settings.batch_size < 1:
        raise ValueError(f"the batch size is {settings.batch_size}, expected at least 1")
    samples = read_samples(settings.samples)
    curves = [read_curve(run) for run in settings.runs]
    resolution, batch_size = samples.resolution, settings.batch_size
    splits = {name: open_split(settings.data, name, (resolution,)) for name in SPLITS}
    validation = splits["validation"]
    info = splits["train"].info
    _check_classes(splits)
    check_against_data(samples, info.class_names, settings.data)

    trained = obtain_classifier(
        settings.data, settings.classifier, splits["train"], validation, resolution, say
    )
    net = classifier_features(trained, info.name)
    references = {
        name: split_moments(net, split, resolution, batch_size, say)
        for name, split in splits.items()
    }
    say(f"scoring {len(samples.labels)} samples, and as many real images")
    seen = observe(net, array_parts(samples.images, samples.labels, batch_size), batch_size)
    real = {
        name: _observe_real(net, split, seen.n, resolution, batch_size)
        for name, split in splits.items()
    }
    scored = [
        Scored(
            figure=metric.compute(seen, references),
            baseline=metric.compute(real[metric.baseline], references),
        )
        for metric in METRICS.values()
    ]
    return Evaluation(
        samples=samples,
        data=settings.data,
        data_name=info.name,
        class_names=info.class_names,
        classifier=trained,
        scored=scored,
        consistency=stage_consistency(samples.stages),
        real_consistency=_real_consistency(settings.data, validation, tuple(samples.stages)),
        real_images=_gallery(validation, samples, settings),
        gallery_images=settings.gallery_images,
        curves=curves,
        provenance=_provenance(settings, splits, resolution),
    )


def _check_classes(splits: dict[str, Split]) -> None:
    train, validation = (splits[name].info for name in SPLITS)
    if train.num_classes < 2:
        raise ValueError(
            f"the data set '{train.name}' has no classes; the figures come from a classifier of "
            "its classes, so it needs at least 2: prepare it from a folder with a sub-folder for "
            "each class"
        )
    if train.class_names != validation.class_names:
        raise ValueError(
            f"the splits of '{train.name}' differ in their classes ({train.num_classes} and "
            f"{validation.num_classes}); prepare both from the same list of classes"
        )


def _observe_real(
    net: FeatureNetwork, split: Split, n: int, resolution: int, batch_size: int
) -> Observations:
    """As many real images as there are samples, or all if there are fewer, chosen at random."""
    count = min(n, len(split))
    generator = np.random.default_rng(_BASELINE_SEED)
    # In random order, not sorted: splits of the Inception Score must not follow the disk's order.
    rows = generator.choice(len(split), count, replace=False)
    return observe(net, split_parts(split, rows, resolution, batch_size), batch_size)


def _real_consistency(
    data: Path, validation: Split, resolutions: tuple[int, ...]
) -> list[Consistency]:
    """What rounding alone makes of it: the same measure of the stored real images."""
    if not set(resolutions) <= set(validation.info.resolutions):
        return []
    rows = np.arange(min(1000, len(validation)))
    with open_split(data, "validation", resolutions) as split:
        return stage_consistency({r: split.read(rows, r)[0] for r in resolutions})


def _gallery(
    validation: Split, samples: Samples, settings: EvaluationSettings
) -> dict[int, np.ndarray]:
    """Real images of the classes to show: those sampled, evenly thinned out if there are many."""
    present = np.unique(samples.labels)
    most = min(settings.gallery_classes, len(present))
    shown = present[np.linspace(0, len(present) - 1, most).round().astype(int)]
    found: dict[int, list[np.ndarray]] = {int(label): [] for label in shown}
    wanted = settings.gallery_images
    order = np.random.default_rng(_GALLERY_SEED).permutation(len(validation))
    for images, labels in split_parts(validation, order, samples.resolution, settings.batch_size):
        for image, label in zip(images, labels.tolist(), strict=True):
            if label in found and len(found[label]) < wanted:
                found[label].append(image)
        if all(len(images_of_class) == wanted for images_of_class in found.values()):
            break
    empty = np.zeros((0, samples.resolution, samples.resolution, 3), np.uint8)
    return {label: np.stack(images) if images else empty for label, images in found.items()}


def _provenance(
    settings: EvaluationSettings, splits: dict[str, Split], resolution: int
) -> dict[str, Any]:
    return {
        "command": settings.command,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "samples": str(settings.samples),
        "data": str(settings.data),
        "runs": [str(run) for run in settings.runs],
        "data_digest": {
            name: split_digest(split.info, resolution) for name, split in splits.items()
        },
        "images": {name: len(split) for name, split in splits.items()},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("cascaded-diffusion", "jax", "flax", "numpy")},
        },
        "platform": f"{platform.system()} {platform.machine()}",
    }
