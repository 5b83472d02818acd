"""Reading a whole data set again and naming everything that is wrong with it."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from cdm.data.dataset import DatasetInfo, load_info, splits
from cdm.data.records import (
    Example,
    ShardFile,
    decode_example,
    index_path,
    read_index,
    scan_index,
    unframe,
)
from cdm.files import read_json
from cdm_data_prep.prepare import DEAD_LETTERS_FILE, PREPARATION_FILE
from cdm_data_prep.shards import file_digest


def verify(path: Path) -> Iterator[str]:
    """The faults of the data set in a folder, one text each; nothing where all is well.

    Tests lengths, checksums of records and files, indexes, that the resolutions are aligned, ids,
    labels, and every count of the description. ValueError if the folder is no data set.
    """
    complete = splits(path)
    begun = complete
    if (path / PREPARATION_FILE).is_file():
        begun = read_json(path / PREPARATION_FILE, "the settings of a preparation")["splits"]
    if not begun:
        load_info(path, "train")  # raises, and says why this is no data set
    for split in sorted({*begun, *complete}):
        try:
            info = load_info(path, split)
        except ValueError as error:
            yield str(error)
        else:
            yield from _split_faults(path / split, info)


def _split_faults(folder: Path, info: DatasetInfo) -> Iterator[str]:
    per_class: Counter[int] = Counter()
    ids: set[bytes] = set()
    numbers = {len(info.shards.get(size, ())) for size in info.resolutions}
    if len(numbers) != 1:
        yield f"{folder}: the resolutions have different numbers of shards"
        return
    for shard in range(numbers.pop()):
        rows = {}
        for size in info.resolutions:
            path = info.shard_path(folder, size, shard)
            faults: list[str] = []
            rows[size] = _shard_rows(path, info.shards[size][shard], size, info, faults)
            yield from faults
        first = info.resolutions[0]
        for size in info.resolutions[1:]:
            if rows[size] != rows[first]:
                yield _misalignment(folder, shard, first, size, rows[first], rows[size])
        for identifier, label in rows[first]:
            if identifier in ids:
                yield f"{folder}: the id {identifier!r} occurs more than once"
            ids.add(identifier)
            per_class[label] += 1
    found = tuple(per_class[label] for label in range(info.num_classes))
    if found != info.examples_per_class:
        yield f"{folder}: examples per class are {found}, described as {info.examples_per_class}"
    if per_class.total() != info.num_examples:
        yield f"{folder}: {per_class.total()} examples, described as {info.num_examples}"
    counters = info.counters
    if counters["listed"] != counters["written"] + counters["dead"]:
        yield f"{folder}: the counters do not account for every image: {json.dumps(counters)}"
    dead = folder / DEAD_LETTERS_FILE
    letters = len(dead.read_text().splitlines()) if dead.is_file() else 0
    if letters != counters["dead"]:
        yield f"{dead}: {letters} dead letters, described as {counters['dead']}"


def _shard_rows(
    path: Path, described: ShardFile, size: int, info: DatasetInfo, faults: list[str]
) -> list[tuple[bytes, int]]:
    """(id, label) of every record of one file; adds what is wrong with the file to `faults`."""
    if not path.is_file():
        faults.append(f"{path}: missing")
        return []
    if path.stat().st_size != described.bytes:
        faults.append(f"{path}: {path.stat().st_size} bytes, described as {described.bytes}")
    elif file_digest(path) != described.sha256:
        faults.append(f"{path}: its SHA-256 is not the described one")
    try:
        offsets = scan_index(path)
    except ValueError as error:
        faults.append(str(error))
        return []
    if len(offsets) - 1 != described.examples:
        faults.append(f"{path}: {len(offsets) - 1} records, described as {described.examples}")
    _check_index(path, offsets.tolist(), faults)
    rows = []
    with path.open("rb") as file:
        for record, (start, end) in enumerate(itertools.pairwise(offsets.tolist())):
            try:
                example = decode_example(unframe(file.read(end - start)))
            except ValueError as error:
                faults.append(f"{path}, record {record}: {error}")
                continue
            _check_example(example, size, info, f"{path}, record {record}", faults)
            rows.append((example.id, example.label))
    return rows


def _check_index(path: Path, offsets: list[int], faults: list[str]) -> None:
    index = index_path(path)
    if not index.is_file():
        faults.append(f"{index}: missing")
        return
    try:
        if read_index(index).tolist() != offsets:
            faults.append(f"{index}: does not hold the offsets of the records")
    except ValueError as error:
        faults.append(str(error))


def _check_example(
    example: Example, size: int, info: DatasetInfo, where: str, faults: list[str]
) -> None:
    if len(example.image) != size * size * 3:
        faults.append(
            f"{where}: an image of {len(example.image)} bytes, expected {size * size * 3}"
        )
    if not 0 <= example.label < info.num_classes:
        faults.append(f"{where}: label {example.label}, expected 0 to {info.num_classes - 1}")


def _misalignment(
    folder: Path,
    shard: int,
    first: int,
    size: int,
    expected: list[tuple[bytes, int]],
    found: list[tuple[bytes, int]],
) -> str:
    pairs = zip(expected, found, strict=False)
    shorter = min(len(expected), len(found))
    record = next((k for k, (left, right) in enumerate(pairs) if left != right), shorter)
    return (
        f"{folder}, shard {shard}: the records at {first} and {size} pixels are not of the same "
        f"images, from record {record} on"
    )
