"""The whole preparation of a data set: plan, write what is missing, check, describe."""

import dataclasses
import json
import math
import platform
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cdm.config import unknown
from cdm.data.dataset import INFO_FILE, DatasetInfo, load_info, save_info
from cdm.data.records import index_path
from cdm.files import read_json, whole_file, write_json
from cdm_data_prep import pixels
from cdm_data_prep.manifest import write_manifest
from cdm_data_prep.pipeline import write_shards
from cdm_data_prep.shards import REPORT_FOLDER, ShardReport, SplitJob, read_report
from cdm_data_prep.sources import SOURCES, SourceOptions
from cdm_data_prep.splits import SplitPlan, plan_splits

PREPARATION_FILE = "preparation.json"
DEAD_LETTERS_FILE = "dead_letters.jsonl"
MAX_RESOLUTION = 1024

_LIBRARIES = ("numpy", "opencv-python-headless", "pillow", "simplejpeg", "apache-beam")


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What to prepare. None: a value that follows from the others."""

    source: str
    out: Path
    options: SourceOptions = field(default_factory=SourceOptions)
    name: str | None = None
    shards: int | None = None  # per split
    workers: int = 1
    max_dead: int = 0  # of all splits together


Watch = Callable[[SplitJob, int], AbstractContextManager[Any]]
"""Called with a split's job and number of images; shows progress while its block lasts."""


def prepare(wanted: Preparation, watch: Watch | None = None) -> tuple[list[DatasetInfo], bool]:
    """Prepares a data set, or finishes one that was begun with the same settings.

    Returns the description of its splits, and whether anything was done.

    Raises ValueError for settings or input that are not as expected, for a folder that holds
    something else, and, when all else is done, for more unusable images than `max_dead`; OSError if
    files cannot be written. Shards that were finished are kept in any case.
    """
    if wanted.source not in SOURCES:
        raise ValueError(unknown("source", wanted.source, SOURCES))
    kind = SOURCES[wanted.source]
    options = kind.with_defaults(wanted.source, wanted.options)
    _check(options, wanted)
    name = _checked_name(wanted.name or kind.default_name(options))
    settings = _settings(wanted, options, name)

    begun = _begun(wanted.out, settings)
    if begun and all((wanted.out / split / INFO_FILE).is_file() for split in begun):
        return [load_info(wanted.out, split) for split in begun], False

    plans = plan_splits(kind, options, wanted.shards)
    write_json(
        wanted.out / PREPARATION_FILE,
        {"settings": settings, "splits": [plan.name for plan in plans]},
    )
    infos = []
    for plan in plans:
        job = SplitJob(
            folder=wanted.out / plan.name,
            name=name,
            split=plan.name,
            shards=plan.shards,
            resolutions=options.resolutions,
            source=plan.source,
        )
        (job.folder / INFO_FILE).unlink(missing_ok=True)
        _sweep(job)
        digest = write_manifest(job.folder, plan.items, plan.shards)
        with watch(job, len(plan.items)) if watch else nullcontext():
            write_shards(job, wanted.workers)
        reports = _reports(job, plan)
        _write_dead_letters(job, reports)
        infos.append(_describe(job, plan, options, reports, settings, digest))
    _check_dead(wanted, infos)
    for info in infos:
        save_info(wanted.out / info.split, info)
    return infos, True


def _check(options: SourceOptions, wanted: Preparation) -> None:
    sizes = options.resolutions
    if not sizes or any(not 1 <= size <= MAX_RESOLUTION for size in sizes):
        raise ValueError(
            f"--resolutions {','.join(map(str, sizes))}: expected sizes from 1 to {MAX_RESOLUTION}"
        )
    if list(sizes) != sorted(set(sizes)):
        raise ValueError(f"the resolutions {sizes} must be different and ascending")
    fraction = options.validation_fraction
    if fraction is not None and not 0 <= fraction < 1:
        raise ValueError(f"--validation-fraction {fraction}: expected at least 0 and less than 1")
    if options.seed < 0 or wanted.max_dead < 0:
        raise ValueError("--seed and --max-dead must not be negative")
    if wanted.workers < 1 or (wanted.shards is not None and not 1 <= wanted.shards <= 99_999):
        raise ValueError("--workers must be at least 1, and --shards from 1 to 99999")


def _checked_name(name: str) -> str:
    if not name or not all(c.isascii() and (c.isalnum() or c in "._-") for c in name):
        raise ValueError(
            f"'{name}' is no name for a data set: it becomes part of file names; "
            "give --name with letters, digits, dots, dashes and underscores"
        )
    return name


def _settings(wanted: Preparation, options: SourceOptions, name: str) -> dict[str, Any]:
    """What must be the same when a preparation goes on. Values as JSON gives them back."""
    values: dict[str, Any] = dataclasses.asdict(options)
    values |= {"source": wanted.source, "name": name, "shards": wanted.shards}
    del values["num_classes"]  # an expectation about the input, not a setting
    for key in ("input", "validation_input"):
        if values[key] is not None:
            values[key] = str(Path(values[key]).absolute())
    return json.loads(json.dumps(values))


def _begun(out: Path, settings: dict[str, Any]) -> list[str]:
    """The splits of a preparation that was begun in `out`; none if the folder is new or empty."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out} is a file, expected a folder")
    if not out.exists() or not any(out.iterdir()):
        return []
    if not (out / PREPARATION_FILE).is_file():
        raise ValueError(
            f"--out {out} holds files that are not of a preparation; choose a new or empty folder"
        )
    begun = read_json(out / PREPARATION_FILE, "the settings of a preparation")
    if not isinstance(begun, dict) or not {"settings", "splits"} <= begun.keys():
        raise ValueError(f"{out / PREPARATION_FILE} is damaged; choose a new folder")
    before = begun["settings"]
    differing = [
        f"  {key}: {before.get(key)} there, {settings.get(key)} now"
        for key in sorted({*before, *settings})
        if before.get(key) != settings.get(key)
    ]
    if differing:
        raise ValueError(
            f"--out {out} was prepared with other settings:\n"
            + "\n".join(differing)
            + "\nchoose another folder, or the same settings"
        )
    return begun["splits"]


def _sweep(job: SplitJob) -> None:
    """Removes what a killed run left unfinished, and shards of another list of images."""
    expected = {job.report_path(shard) for shard in range(job.shards)}
    for size in job.resolutions:
        for shard in range(job.shards):
            path = job.shard_path(size, shard)
            expected |= {path, index_path(path)}
    folders = [job.folder / REPORT_FOLDER, *(job.folder / str(size) for size in job.resolutions)]
    for folder in folders:
        for path in folder.glob("*"):
            if path not in expected:
                path.unlink()
    for path in job.folder.glob(".*.tmp"):
        path.unlink()


def _reports(job: SplitJob, plan: SplitPlan) -> list[ShardReport]:
    """The reports of all shards, after checking that together they account for every image."""
    reports = [read_report(job.report_path(shard)) for shard in range(job.shards)]
    written = sum(report.written for report in reports)
    dead = sum(len(report.dead) for report in reports)
    if written + dead != len(plan.items):
        raise RuntimeError(
            f"of {len(plan.items)} listed {plan.name} images {written} were written and {dead} "
            "could not be used: some are unaccounted for, which is an error of this program"
        )
    if not written:
        letter = next(letter for report in reports for letter in report.dead)
        raise ValueError(
            f"none of the {dead} {plan.name} images could be used; the first was "
            f"{letter.source}: {letter.message}"
        )
    return reports


def _write_dead_letters(job: SplitJob, reports: list[ShardReport]) -> None:
    with whole_file(job.folder / DEAD_LETTERS_FILE) as file:
        for report in reports:
            for letter in report.dead:
                file.write(json.dumps(dataclasses.asdict(letter)).encode() + b"\n")


def _check_dead(wanted: Preparation, infos: list[DatasetInfo]) -> None:
    dead = sum(info.counters["dead"] for info in infos)
    if dead <= wanted.max_dead:
        return
    files = " and ".join(
        str(wanted.out / info.split / DEAD_LETTERS_FILE) for info in infos if info.counters["dead"]
    )
    first = next(info for info in infos if info.counters["dead"])
    with (wanted.out / first.split / DEAD_LETTERS_FILE).open() as lines:
        letter = json.loads(lines.readline())
    raise ValueError(
        f"{dead} of {sum(info.counters['listed'] for info in infos)} images could not be used, "
        f"--max-dead allows {wanted.max_dead}; {files} names them "
        f"(the first: {letter['source']}: {letter['message']}). All others are written and kept. "
        "Repair or remove these and run the same command again, "
        f"or accept their loss with --max-dead {dead}"
    )


def _describe(
    job: SplitJob,
    plan: SplitPlan,
    options: SourceOptions,
    reports: list[ShardReport],
    settings: dict[str, Any],
    digest: str,
) -> DatasetInfo:
    written = sum(report.written for report in reports)
    per_class: Counter[int] = Counter()
    decoders: Counter[str] = Counter()
    for report in reports:
        per_class.update(report.examples_per_class)
        decoders.update(report.decoders)
    means, deviations = {}, {}
    for size in job.resolutions:
        mean = [math.fsum(r.means[size][c] for r in reports) / written for c in range(3)]
        square = [math.fsum(r.mean_squares[size][c] for r in reports) / written for c in range(3)]
        means[size] = tuple(mean)
        deviations[size] = tuple(
            math.sqrt(max(0.0, s - m * m)) for s, m in zip(square, mean, strict=True)
        )
    input_key = "validation_input" if plan.name == "validation" else "input"
    return DatasetInfo(
        name=job.name,
        split=plan.name,
        source={
            "kind": settings["source"],
            "input": settings[input_key] or settings["input"],
            "digest": digest,
        },
        resolutions=job.resolutions,
        crop=pixels.CROP_RULE,
        resize=pixels.RESIZE_RULE,
        upscaled={size: sum(r.upscaled.get(size, 0) for r in reports) for size in job.resolutions},
        seed=options.seed,
        num_examples=written,
        num_classes=len(plan.class_names) or 1,
        class_names=plan.class_names,
        examples_per_class=tuple(per_class[c] for c in range(len(plan.class_names) or 1)),
        shards={size: tuple(report.files[size] for report in reports) for size in job.resolutions},
        counters={
            "listed": len(plan.items),
            "written": written,
            "dead": len(plan.items) - written,
            **{name: decoders[name] for name in sorted(decoders)},
        },
        channel_mean=means,
        channel_std=deviations,
        versions={
            "python": platform.python_version(),
            **{library: version(library) for library in _LIBRARIES},
        },
    )
