"""Writing one shard: the unit of work, of parallelism and of resuming."""

import dataclasses
import hashlib
import json
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from cdm.data.records import ShardFile, index_path, shard_writer
from cdm.files import read_json, write_json
from cdm_data_prep import pixels
from cdm_data_prep.manifest import read_slice
from cdm_data_prep.sources import Item, Reader, Source

REPORT_FOLDER = "shards"

Key = TypeVar("Key")

# Set when the user interrupts: workers in this process then leave the shards they are writing.
STOP = threading.Event()


class Stopped(Exception):
    """Raised in a worker when STOP is set."""


@dataclass(frozen=True, kw_only=True)
class SplitJob:
    """What the workers need to know to write the shards of one split, besides the manifest.

    `folder` is the split's. Small and picklable.
    """

    folder: Path
    name: str
    split: str
    shards: int
    resolutions: tuple[int, ...]
    source: Source

    def shard_path(self, resolution: int, shard: int) -> Path:
        """The file of one shard's records at one resolution."""
        file = f"{self.name}-{self.split}-{resolution}-{shard:05d}-of-{self.shards:05d}.tfrecord"
        return self.folder / str(resolution) / file

    def report_path(self, shard: int) -> Path:
        """The report of one shard; it is written last, so its presence says the shard is done."""
        return self.folder / REPORT_FOLDER / f"{shard:05d}-of-{self.shards:05d}.json"

    def input_digest(self, manifest_digest: str) -> str:
        """A digest of all that decides about the bytes of a shard, its images' list included."""
        settings = (
            manifest_digest,
            repr(self.source),
            self.resolutions,
            pixels.CROP_RULE,
            pixels.RESIZE_RULE,
        )
        return hashlib.sha256(json.dumps(settings).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """An image that could not be used, and why."""

    id: str
    source: str
    stage: str  # read or decode
    exception: str
    message: str


@dataclass(kw_only=True)
class ShardReport:
    """What one shard holds. Keys of the mappings are classes, resolutions, or decoders' names."""

    digest: str  # of its input
    listed: int
    examples_per_class: dict[int, int] = field(default_factory=dict)
    upscaled: dict[int, int] = field(default_factory=dict)
    decoders: dict[str, int] = field(default_factory=dict)
    dead: list[DeadLetter] = field(default_factory=list)
    files: dict[int, ShardFile] = field(default_factory=dict)
    # Sums over images of the mean and the mean square of R, G, B, each 0…255.
    means: dict[int, list[float]] = field(default_factory=dict)
    mean_squares: dict[int, list[float]] = field(default_factory=dict)

    @property
    def written(self) -> int:
        """The number of images that were written."""
        return sum(self.examples_per_class.values())


def write_shard(job: SplitJob, shard: int) -> None:
    """Writes one shard at every resolution and its report, unless that was done before.

    An image that cannot be read or decoded goes into the report. OSError if writing fails, Stopped
    if STOP was set: then nothing of the shard is there, or files without a report, which the next
    run replaces.
    """
    part = read_slice(job.folder, shard)
    digest = job.input_digest(part.digest)
    if _is_done(job, shard, digest):
        return
    # First of all: a report must never stand beside files that are being replaced.
    job.report_path(shard).unlink(missing_ok=True)
    report = ShardReport(digest=digest, listed=len(part.items))
    for size in job.resolutions:
        report.means[size] = [0.0] * 3
        report.mean_squares[size] = [0.0] * 3
    paths = {size: job.shard_path(size, shard) for size in job.resolutions}
    with ExitStack() as stack:
        writers = {size: stack.enter_context(shard_writer(path)) for size, path in paths.items()}
        read = stack.enter_context(job.source.open())
        for item in part.items:
            if STOP.is_set():
                raise Stopped
            images = _images(job, item, read, report)
            if images is None:
                continue
            identifier = item.id.encode("utf-8", "surrogateescape")
            for size, image in images.items():
                writers[size].write(identifier, image.tobytes(), item.label)
                _add_statistics(report, size, image)
            _count(report.examples_per_class, item.label)
    report.files = {size: writer.describe(paths[size]) for size, writer in writers.items()}
    write_json(job.report_path(shard), dataclasses.asdict(report))


def read_report(path: Path) -> ShardReport:
    """Reads a shard's report; ValueError if it is damaged."""
    values = read_json(path, "the report of a shard")
    try:
        return ShardReport(
            digest=values["digest"],
            listed=values["listed"],
            examples_per_class=_by_number(values["examples_per_class"]),
            upscaled=_by_number(values["upscaled"]),
            decoders=dict(values["decoders"]),
            dead=[DeadLetter(**letter) for letter in values["dead"]],
            files={s: ShardFile(**file) for s, file in _by_number(values["files"]).items()},
            means=_by_number(values["means"]),
            mean_squares=_by_number(values["mean_squares"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not the report of a shard: {error!r}") from error


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_done(job: SplitJob, shard: int, digest: str) -> bool:
    """Whether the shard is there, from the same input, and its files are as they were written."""
    path = job.report_path(shard)
    if not path.exists():
        return False
    try:
        report = read_report(path)
    except ValueError:
        return False  # made by another version, or damaged: the shard is written anew
    if report.digest != digest:
        return False
    return all(
        (path := job.shard_path(size, shard)).is_file()
        and index_path(path).is_file()
        and path.stat().st_size == file.bytes
        and file_digest(path) == file.sha256
        for size, file in report.files.items()
    )


def _images(
    job: SplitJob, item: Item, read: Reader, report: ShardReport
) -> dict[int, np.ndarray] | None:
    """The image at every resolution; None, and a line in the report, if it cannot be used."""
    stage = "read"
    try:
        data = read(item)
        if isinstance(data, bytes):
            stage = "decode"
            decoded = pixels.decode(data)
            _count(report.decoders, decoded.decoder)
            data = decoded.image
    except (OSError, ValueError) as error:
        where = job.source.describe(item)
        text = str(error).splitlines()[0] if str(error) else ""
        report.dead.append(
            DeadLetter(
                id=item.id,
                source=where,
                stage=stage,
                exception=type(error).__name__,
                message=text,
            )
        )
        return None
    square = pixels.central_square(data)
    for size in job.resolutions:
        _count(report.upscaled, size, square.shape[0] < size)
    return pixels.resize_square(square, job.resolutions)


def _add_statistics(report: ShardReport, size: int, image: np.ndarray) -> None:
    means, deviations = cv2.meanStdDev(image)
    for channel, (mean, deviation) in enumerate(zip(means[:, 0], deviations[:, 0], strict=True)):
        report.means[size][channel] += float(mean)
        report.mean_squares[size][channel] += float(mean**2 + deviation**2)


def _count(counts: dict[Key, int], key: Key, times: int = 1) -> None:
    counts[key] = counts.get(key, 0) + times


def _by_number(values: Mapping[str, Any]) -> dict[int, Any]:
    return {int(key): value for key, value in values.items()}
