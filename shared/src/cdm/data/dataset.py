"""dataset_info.json: what a prepared split holds (docs/files.md). No pixels are read here."""

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdm.data.records import ShardFile
from cdm.files import read_json, write_json

FORMAT_VERSION = 1
INFO_FILE = "dataset_info.json"


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """One split of a data set. Resolutions are in pixels; per-channel figures are of 0…255."""

    format_version: int = FORMAT_VERSION
    name: str
    split: str
    source: dict[str, Any]  # kind, input, digest of its list of images
    resolutions: tuple[int, ...]  # ascending
    shape_order: str = "HWC"
    encoding: str = "raw"
    crop: str
    resize: str
    upscaled: dict[int, int]  # resolution: images whose square was smaller
    seed: int
    num_examples: int
    num_classes: int  # 1 without classes
    class_names: tuple[str, ...]  # position = label
    examples_per_class: tuple[int, ...]
    shards: dict[int, tuple[ShardFile, ...]]  # resolution: its files, in order
    counters: dict[str, int]  # listed, written, dead, and what the decoder counted
    channel_mean: dict[int, tuple[float, ...]]  # resolution: R, G, B
    channel_std: dict[int, tuple[float, ...]]
    versions: dict[str, str]

    def shard_path(self, folder: Path, resolution: int, shard: int) -> Path:
        """Where the records of one shard lie; `folder` is the split's."""
        return folder / str(resolution) / self.shards[resolution][shard].file


def save_info(folder: str | Path, info: DatasetInfo) -> None:
    """Writes the split's dataset_info.json, which marks it as complete."""
    write_json(Path(folder) / INFO_FILE, dataclasses.asdict(info))


def load_info(path: str | Path, split: str) -> DatasetInfo:
    """The description of a split of the data set in the folder `path`.

    Raises ValueError if the folder is no data set, lacks the split, holds an unfinished one, or was
    written in a format of another version.
    """
    root = Path(path)
    folder = root / split
    file = folder / INFO_FILE
    if not file.is_file():
        raise ValueError(_why_missing(root, split))
    values = read_json(file, "the description of a data set")
    version = values.get("format_version") if isinstance(values, Mapping) else None
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{file} has format version {version}, expected {FORMAT_VERSION}; "
            "prepare the data again with this version of cdm-data-prep"
        )
    return _from_json(values, str(file))


def splits(path: str | Path) -> list[str]:
    """The names of the complete splits in a data set's folder, sorted."""
    return sorted(file.parent.name for file in Path(path).glob(f"*/{INFO_FILE}"))


def _why_missing(root: Path, split: str) -> str:
    if not root.is_dir():
        return f"there is no data set at {root}; prepare one with: cdm-data-prep --out {root}"
    if any((root / split).glob("*/*.tfrecord")) or (root / split / "manifest.jsonl").exists():
        return (
            f"the split '{split}' of {root} is incomplete: its preparation did not finish; "
            "run the same cdm-data-prep command again, it goes on where it stopped"
        )
    if present := splits(root):
        return f"{root} has no split '{split}'; it has: {', '.join(present)}"
    if (root / INFO_FILE).exists():
        return f"{root} is one split; give the folder above it, {root.parent}"
    return (
        f"{root} is not a data set: there is no {split}/{INFO_FILE} in it; "
        f"prepare one with: cdm-data-prep --out {root}"
    )


def _from_json(values: Mapping[str, Any], where: str) -> DatasetInfo:
    """Undoes what JSON does to types: tuples became lists, whole numbers as keys became text."""
    hints = typing.get_type_hints(DatasetInfo)
    missing = hints.keys() - values.keys()
    if missing:
        raise ValueError(f"{where} lacks {', '.join(sorted(missing))}; prepare the data again")
    try:
        arguments = {name: _typed(values[name], hint) for name, hint in hints.items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{where} is damaged ({error}); prepare the data again") from error
    return DatasetInfo(**arguments)


def _typed(value: Any, hint: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return tuple(_typed(item, arguments[0]) for item in value)
    if origin is dict:
        return {_typed(k, arguments[0]): _typed(v, arguments[1]) for k, v in value.items()}
    if hint is Any:
        return value
    if hint is ShardFile:
        return ShardFile(**value)
    return hint(value)
