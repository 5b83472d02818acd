"""Random access to a prepared split: any record, at any of its resolutions, by its number."""

import os
import resource
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from cdm.data.dataset import INFO_FILE, DatasetInfo, load_info
from cdm.data.records import Example, decode_example, index_path, read_index, scan_index, unframe


class Split:
    """An open split. Records are numbered from 0 through all shards, alike at every resolution.

    Safe to use from several threads; reads take turns. Made by `open_split`.
    """

    def __init__(
        self, folder: Path, info: DatasetInfo, offsets: dict[int, list[np.ndarray]], check: bool
    ):
        self.folder = folder
        self.info = info
        self._offsets = offsets  # resolution: for each shard its records' offsets, and its end
        self._check = check
        # The same at every resolution: open_split has compared them with the description.
        counts = [shard.examples for shard in info.shards[min(offsets)]]
        self._starts = np.cumsum([0, *counts], dtype=np.int64)
        self._files = _OpenFiles()
        # Not __del__: as the interpreter ends that would run after what it needs is gone. The
        # system closes what is open then.
        weakref.finalize(self, self._files.close).atexit = False
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def resolutions(self) -> tuple[int, ...]:
        """The resolutions that were opened, ascending."""
        return tuple(self._offsets)

    def read(self, indices: np.ndarray, resolution: int) -> tuple[np.ndarray, np.ndarray]:
        """The images (uint8 [n, h, w, 3]) and labels (int64 [n]) of these records, in their order.

        ValueError if an index or the resolution does not exist, or a record is damaged.
        """
        indices = np.asarray(indices)
        size = resolution * resolution * 3
        images = np.empty((len(indices), size), np.uint8)
        labels = np.empty(len(indices), np.int64)
        for row, shard, record, example in self._examples(indices, resolution):
            if len(example.image) != size:
                raise ValueError(
                    self._damaged(resolution, shard, record)
                    + f"its image has {len(example.image)} bytes, expected {size}"
                )
            if not 0 <= example.label < self.info.num_classes:
                raise ValueError(
                    self._damaged(resolution, shard, record)
                    + f"its label is {example.label}, expected 0 to {self.info.num_classes - 1}"
                )
            images[row] = np.frombuffer(example.image, np.uint8)
            labels[row] = example.label
        return images.reshape(-1, resolution, resolution, 3), labels

    def ids(self, indices: np.ndarray, resolution: int | None = None) -> list[str]:
        """The names of these records' images in their source (from the smallest resolution)."""
        resolution = self.resolutions[0] if resolution is None else resolution
        names = [""] * len(indices)
        for row, _, _, example in self._examples(np.asarray(indices), resolution):
            names[row] = example.id.decode("utf-8", "surrogateescape")
        return names

    def close(self) -> None:
        """Closes the files; a later read opens them again."""
        with self._lock:
            self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _examples(
        self, indices: np.ndarray, resolution: int
    ) -> Iterable[tuple[int, int, int, Example]]:
        """(row, shard, record in the shard, example), in the order in which they lie on disk."""
        if resolution not in self._offsets:
            raise ValueError(
                f"resolution {resolution} was not opened; opened are: {_joined(self.resolutions)}"
            )
        if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
            raise ValueError(
                f"indices are {indices.dtype} {indices.shape}, expected whole numbers in one axis"
            )
        if indices.size and (indices.min() < 0 or indices.max() >= len(self)):
            raise ValueError(
                f"indices reach from {indices.min()} to {indices.max()}, "
                f"expected 0 to {len(self) - 1}"
            )
        order = np.argsort(indices, kind="stable")
        shards = np.searchsorted(self._starts, indices[order], side="right") - 1
        records = indices[order] - self._starts[shards]
        with self._lock:
            for row, shard, record in zip(
                order.tolist(), shards.tolist(), records.tolist(), strict=True
            ):
                yield row, shard, record, self._example(resolution, shard, record)

    def _example(self, resolution: int, shard: int, record: int) -> Example:
        offsets = self._offsets[resolution][shard]
        start, end = int(offsets[record]), int(offsets[record + 1])
        file = self._files.get(self.info.shard_path(self.folder, resolution, shard))
        try:
            return decode_example(unframe(os.pread(file, end - start, start), check=self._check))
        except ValueError as error:
            raise ValueError(self._damaged(resolution, shard, record) + str(error)) from error

    def _damaged(self, resolution: int, shard: int, record: int) -> str:
        path = self.info.shard_path(self.folder, resolution, shard)
        return f"record {record} of {path} is damaged: "


def open_split(
    path: str | Path, split: str, resolutions: tuple[int, ...], *, check: bool = True
) -> Split:
    """Opens one split of a data set at these resolutions (pixels).

    Files are compared with their index and the description at the door, so that a truncated one is
    one clear message. A missing index is rebuilt in memory. With `check`, every record's checksum
    is tested when it is read (about 0.5 µs for 12 KB).

    Raises ValueError if the data set or the split does not exist, is incomplete, has not all of the
    resolutions, or has a file that is not as it was written.
    """
    info = load_info(path, split)
    absent = [size for size in resolutions if size not in info.resolutions]
    if absent or not resolutions:
        wanted = _joined(absent) if absent else "none"
        raise ValueError(
            f"the data set {path} does not hold resolution {wanted}; "
            f"it holds: {_joined(info.resolutions)}; prepare it with "
            f"--resolutions {','.join(map(str, sorted({*resolutions, *info.resolutions})))}"
        )
    folder = Path(path) / split
    counts = {tuple(s.examples for s in info.shards[size]) for size in info.resolutions}
    if len(counts) != 1 or sum(counts.pop()) != info.num_examples:
        raise ValueError(
            f"{folder / INFO_FILE} is damaged: its shards do not hold {info.num_examples} examples "
            "at every resolution; prepare the data again"
        )
    offsets = {
        resolution: [
            _checked_offsets(info, folder, resolution, shard)
            for shard in range(len(info.shards[resolution]))
        ]
        for resolution in sorted(set(resolutions))
    }
    return Split(folder, info, offsets, check)


def _checked_offsets(info: DatasetInfo, folder: Path, resolution: int, shard: int) -> np.ndarray:
    path = info.shard_path(folder, resolution, shard)
    expected = info.shards[resolution][shard]
    advice = (
        f"remove {folder / INFO_FILE} and run the same cdm-data-prep command again, "
        "it makes this shard anew"
    )
    if not path.is_file():
        raise ValueError(f"{path} is missing; {advice}")
    size = path.stat().st_size
    if size != expected.bytes:
        state = "cut short" if size < expected.bytes else "too long"
        raise ValueError(f"{path} is {state}: {size} bytes, expected {expected.bytes}; {advice}")
    index = index_path(path)
    offsets = read_index(index) if index.is_file() else scan_index(path)
    if offsets[-1] != size or len(offsets) != expected.examples + 1:
        raise ValueError(
            f"{index} does not belong to its shard: {len(offsets) - 1} records in {offsets[-1]} "
            f"bytes, expected {expected.examples} in {size}; remove it, it is rebuilt on reading"
        )
    return offsets


class _OpenFiles:
    """File descriptors by path; the least recently used are closed when there are too many."""

    def __init__(self) -> None:
        # Half of what the process may open: a large data set has more files than that.
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most = 4096 if limit == resource.RLIM_INFINITY else max(16, limit // 2)
        self._descriptors: OrderedDict[Path, int] = OrderedDict()

    def get(self, path: Path) -> int:
        descriptor = self._descriptors.get(path)
        if descriptor is None:
            descriptor = self._descriptors[path] = os.open(path, os.O_RDONLY)
            while len(self._descriptors) > self._most:
                os.close(self._descriptors.popitem(last=False)[1])
        else:
            self._descriptors.move_to_end(path)
        return descriptor

    def close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])


def _joined(values: Iterable[int]) -> str:
    return ", ".join(map(str, values))
