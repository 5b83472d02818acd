"""Reading a samples folder (docs/files.md) and checking it at the door."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cdm.cli import existing_folder
from cdm.files import read_json
from cdm_evaluate.arrays import read_arrays

FORMAT_VERSION = 1
IMAGES_FILE = "samples.npz"
SETTINGS_FILE = "samples.json"
_STAGE = re.compile(r"stage_(\d+)")
_HINT = "give the folder that cdm-sample --out made"


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The images of a sampling run."""

    path: Path
    images: np.ndarray  # uint8 [n, r, r, 3], of the last stage
    labels: np.ndarray  # int64 [n]
    stages: dict[int, np.ndarray]  # resolution, ascending: uint8 [n, r, r, 3]; the last is `images`
    settings: dict[str, Any]  # samples.json

    @property
    def resolution(self) -> int:
        """Of the last stage, in pixels."""
        return int(self.images.shape[1])


def read_samples(path: str | Path) -> Samples:
    """Reads a samples folder.

    Raises ValueError if it is missing, unfinished, of another format, or damaged, or its arrays
    have not the type and shape of docs/files.md, or hold fewer than 2 images.
    """
    folder = existing_folder(path, "the samples folder", _HINT)
    file = folder / IMAGES_FILE
    if not file.is_file():
        raise ValueError(f"{folder} is not a samples folder: it has no {IMAGES_FILE}; {_HINT}")
    if not (folder / SETTINGS_FILE).is_file():
        raise ValueError(
            f"{folder} is unfinished: it has no {SETTINGS_FILE}, which is written last; run the "
            "same cdm-sample command again"
        )
    settings = read_json(folder / SETTINGS_FILE, "the settings of the samples")
    version = settings.get("format_version") if isinstance(settings, dict) else None
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{folder / SETTINGS_FILE} has format version {version}, expected {FORMAT_VERSION}; "
            "sample again with this version of cdm-sample"
        )
    arrays = _arrays(file)
    images, labels = arrays["arr_0"], arrays["arr_1"]
    _check_images(images, f"arr_0 of {file}")
    if len(images) < 2:
        raise ValueError(f"{file} holds {len(images)} images, expected at least 2 to score")
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"arr_1 of {file} is {labels.dtype} {labels.shape}, expected one whole number for each "
            f"of {len(images)} images"
        )
    return Samples(
        path=folder,
        images=images,
        labels=labels.astype(np.int64),
        stages=_stages(arrays, images, file),
        settings=settings,
    )


def check_against_data(samples: Samples, class_names: tuple[str, ...], data: str | Path) -> None:
    """ValueError unless the labels, and the class names if given, are those of the data set."""
    lowest, highest = int(samples.labels.min()), int(samples.labels.max())
    if lowest < 0 or highest >= len(class_names):
        raise ValueError(
            f"the labels of {samples.path} reach from {lowest} to {highest}, but {data} has "
            f"{len(class_names)} classes, 0 to {len(class_names) - 1}; give the data set that the "
            "stages were trained on"
        )
    named = samples.settings.get("class_names")
    if named is not None and list(named) != list(class_names):
        raise ValueError(
            f"{samples.path} was sampled for the classes {_few(named)}, but {data} has "
            f"{_few(class_names)}; give the data set that the stages were trained on"
        )


def _arrays(file: Path) -> dict[str, np.ndarray]:
    try:
        arrays = read_arrays(file)
    except ValueError as error:
        raise ValueError(f"{error}; sample again") from error
    missing = {"arr_0", "arr_1"} - arrays.keys()
    if missing:
        raise ValueError(
            f"{file} has no {' and no '.join(sorted(missing))}, expected arr_0 (images) and arr_1 "
            f"(labels); it holds: {', '.join(sorted(arrays))}"
        )
    return arrays


def _stages(arrays: dict[str, np.ndarray], images: np.ndarray, file: Path) -> dict[int, np.ndarray]:
    stages = {}
    for name, array in arrays.items():
        if match := _STAGE.fullmatch(name):
            resolution = int(match[1])
            _check_images(array, f"{name} of {file}", count=len(images), resolution=resolution)
            stages[resolution] = array
    last = images.shape[1]
    if not np.array_equal(stages.setdefault(last, images), images) or max(stages) != last:
        raise ValueError(
            f"arr_0 of {file} is not its last stage: the stages are {sorted(stages)}, arr_0 is "
            f"{last}x{last}; sample again"
        )
    return dict(sorted(stages.items()))


def _check_images(
    array: np.ndarray, what: str, count: int | None = None, resolution: int | None = None
) -> None:
    if array.dtype != np.uint8:
        raise ValueError(f"{what} holds {array.dtype}, expected uint8 from 0 to 255")
    square = array.ndim == 4 and array.shape[1] == array.shape[2] and array.shape[3] == 3
    fits = count in (None, len(array)) and (resolution is None or array.shape[1] == resolution)
    if not square or not fits:
        n, r = count or "n", resolution or "r"
        raise ValueError(f"{what} has the shape {array.shape}, expected ({n}, {r}, {r}, 3)")


def _few(names: Any) -> str:
    texts = [str(name) for name in names]
    shown = ", ".join(texts[:5])
    return f"{shown}, … ({len(texts)})" if len(texts) > 5 else shown
