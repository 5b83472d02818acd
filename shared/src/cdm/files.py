"""Writing files whole or not at all, and small JSON files."""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """A binary file that appears at `path` when the block ends, or never.

    Written beside its place, flushed to the disk and renamed; an error removes the unfinished file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with beside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_json(path: str | Path, values: Any) -> None:
    """Writes JSON, whole or not at all."""
    with whole_file(path) as file:
        file.write(json.dumps(values, indent=2, ensure_ascii=False).encode() + b"\n")


def read_json(path: str | Path, what: str) -> Any:
    """Reads JSON; ValueError names the file and what it should have been."""
    try:
        return json.loads(Path(path).read_text())
    except OSError as error:
        raise ValueError(f"cannot read {what} {path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{what} {path} is not JSON: {error}") from error
