"""The folder of a sampling run (docs/files.md)."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cdm.files import read_json, whole_file, write_json
from cdm.grids import image_grid

FORMAT_VERSION = 1
SETTINGS = "samples.json"
GRID_ROWS, GRID_SAMPLES = 10, 5


def already_made(out: Path, request: Mapping[str, Any]) -> bool:
    """Whether the folder holds what this request asks for.

    Raises:
        ValueError: it holds something else.
    """
    if not out.exists() or not any(out.iterdir()):
        return False
    if not (out / SETTINGS).exists():
        unfinished = {"samples.npz", "grid.png", "png"}
        strangers = [path.name for path in out.iterdir() if path.name not in unfinished]
        if strangers:
            raise ValueError(
                f"{out} is not empty and holds no samples (it has {strangers[0]}); "
                "choose a new --out folder"
            )
        return False
    made = read_json(out / SETTINGS, "the description of the samples").get("request")
    if made == request:
        return True
    differing = [k for k in request if not isinstance(made, dict) or made.get(k) != request[k]]
    raise ValueError(
        f"{out} holds samples of another run (it differs in {', '.join(differing)}); "
        "choose another --out folder"
    )


def write_samples(
    out: Path,
    stages: Mapping[int, np.ndarray],
    labels: np.ndarray,
    indices: np.ndarray,
    class_names: Sequence[str],
    description: Mapping[str, Any],
    *,
    png: bool,
) -> None:
    """Writes images and their description; the latter last, so that it marks a finished run.

    Args:
        stages: by resolution, ascending, uint8 [n, h, w, 3]; the last one are the final images.
        png: whether to write the final images one by one too.
    """
    final = stages[max(stages)]
    arrays = {f"stage_{size}": pixels for size, pixels in stages.items()}
    with whole_file(out / "samples.npz") as file:
        np.savez(file, arr_0=final, arr_1=labels, index=indices, **arrays)  # type: ignore[arg-type]
    if png:
        for pixels, label, index in zip(final, labels, indices, strict=True):
            _write_png(out / "png" / f"{index:06d}_{label}.png", Image.fromarray(pixels))
    _write_png(out / "grid.png", cascade_grid(stages, labels, class_names))
    write_json(out / SETTINGS, {"format_version": FORMAT_VERSION, **description})


def cascade_grid(
    stages: Mapping[int, np.ndarray], labels: np.ndarray, class_names: Sequence[str]
) -> Image.Image:
    """A row for each class, in it a few images, each at all stages side by side."""
    rows, names = [], []
    for label in np.unique(labels)[:GRID_ROWS]:
        chosen = np.flatnonzero(labels == label)[:GRID_SAMPLES]
        rows.append([stages[size][i] for i in chosen for size in sorted(stages)])
        names.append(class_names[label] if label < len(class_names) else str(label))
    columns = [f"{size} px" for size in sorted(stages)] * GRID_SAMPLES
    width = max(len(row) for row in rows)
    return image_grid(
        rows, cell=max(64, max(stages)), row_labels=names, column_labels=columns[:width]
    )


def _write_png(path: Path, picture: Image.Image) -> None:
    data = io.BytesIO()
    picture.save(data, "PNG")
    with whole_file(path) as file:
        file.write(data.getvalue())
