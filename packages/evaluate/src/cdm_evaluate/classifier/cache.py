"""The trained classifier beside its data: DATA/classifiers/RESOLUTION/ (docs/files.md)."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cdm.data.dataset import DatasetInfo
from cdm.data.reader import Split
from cdm.files import read_json, whole_file, write_json
from cdm.nn.functional import Params
from cdm_evaluate.arrays import read_arrays
from cdm_evaluate.classifier.config import ClassifierConfig
from cdm_evaluate.classifier.training import network, train_classifier

FORMAT_VERSION = 1
PARAMETERS_FILE = "classifier.npz"
DESCRIPTION_FILE = "classifier.json"


@dataclass(frozen=True, kw_only=True)
class TrainedClassifier:
    """Parameters with what a reader must know about where they come from."""

    config: ClassifierConfig
    resolution: int
    num_classes: int
    params: Params
    validation_accuracy: float  # 0…1
    digest: str  # of the parameters
    folder: Path
    reused: bool  # read from the cache, not trained now


def split_digest(info: DatasetInfo, resolution: int) -> str:
    """A digest of a split's stored pixels and labels at one resolution, and its class names."""
    shards = [shard.sha256 for shard in info.shards[resolution]]
    return _digest([info.name, info.split, resolution, list(info.class_names), shards])


def obtain_classifier(
    data: Path,
    config: ClassifierConfig,
    train: Split,
    validation: Split,
    resolution: int,
    say: Callable[[str], None],
) -> TrainedClassifier:
    """The classifier of these settings and data: from the cache, or trained now and cached.

    `say` gets lines about which of both happens, why, and how the training goes.
    """
    folder = data / "classifiers" / str(resolution)
    fingerprint = {
        "format_version": FORMAT_VERSION,
        "config": json.loads(json.dumps(dataclasses.asdict(config))),
        "train": split_digest(train.info, resolution),
        "validation": split_digest(validation.info, resolution),
    }
    cached, reason = _load(folder, fingerprint, config, resolution, train.info.num_classes)
    if cached is not None:
        say(
            f"classifier {resolution}x{resolution}: reused from {folder}, "
            f"validation accuracy {cached.validation_accuracy:.2%}"
        )
        return cached
    say(f"classifier {resolution}x{resolution}: {reason}; training it on {len(train)} images")
    params, accuracy = train_classifier(config, train, validation, resolution, say)
    arrays = _flat(params)
    digest = _arrays_digest(arrays)
    with whole_file(folder / PARAMETERS_FILE) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    write_json(
        folder / DESCRIPTION_FILE,
        {
            "fingerprint": fingerprint,
            "data": train.info.name,
            "resolution": resolution,
            "num_classes": train.info.num_classes,
            "parameters": int(sum(array.size for array in arrays.values())),
            "validation_accuracy": accuracy,
            "parameters_digest": digest,
            "versions": {"jax": jax.__version__, "numpy": np.__version__},
        },
    )
    return TrainedClassifier(
        config=config,
        resolution=resolution,
        num_classes=train.info.num_classes,
        params=params,
        validation_accuracy=accuracy,
        digest=digest,
        folder=folder,
        reused=False,
    )


def _load(
    folder: Path,
    fingerprint: Mapping[str, Any],
    config: ClassifierConfig,
    resolution: int,
    num_classes: int,
) -> tuple[TrainedClassifier | None, str]:
    """The cached classifier, or None and the reason why there is none to use."""
    description = folder / DESCRIPTION_FILE
    if not description.exists():
        return None, "none cached"
    try:
        stored = read_json(description, "the description of the classifier")
        arrays = read_arrays(folder / PARAMETERS_FILE)
    except (ValueError, FileNotFoundError) as error:
        return None, f"the cached one is damaged ({error})"
    if not isinstance(stored, dict) or stored.get("fingerprint") != fingerprint:
        return None, "the cached one is of other data or settings"
    if _arrays_digest(arrays) != stored.get("parameters_digest"):
        return None, "the cached one is damaged (its parameters are not those described)"
    template = jax.eval_shape(network(config, num_classes).init, jax.random.key(0))
    params = jax.tree_util.tree_map_with_path(lambda path, _: arrays[_path(path)], template)
    return TrainedClassifier(
        config=config,
        resolution=resolution,
        num_classes=num_classes,
        params=params,
        validation_accuracy=stored["validation_accuracy"],
        digest=stored["parameters_digest"],
        folder=folder,
        reused=True,
    ), ""


def _flat(params: Params) -> dict[str, np.ndarray]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    return {_path(path): np.asarray(leaf) for path, leaf in leaves}


def _path(path: tuple[Any, ...]) -> str:
    return "/".join(str(part.key) for part in path)


def _arrays_digest(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()
