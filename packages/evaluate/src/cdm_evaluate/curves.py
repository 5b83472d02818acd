"""Training curves: what a run logged in metrics.jsonl (docs/files.md)."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdm.cli import existing_folder
from cdm.files import read_json


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The numbers that a run logged: for each quantity its (step, value) pairs, steps rising."""

    name: str
    path: Path
    series: dict[str, list[tuple[int, float]]]
    config: dict[str, Any]

    def last(self, quantity: str) -> float | None:
        """The newest value of a quantity, or None if it was never logged."""
        return self.series[quantity][-1][1] if quantity in self.series else None

    @property
    def steps(self) -> int:
        """The last logged step."""
        return max(points[-1][0] for points in self.series.values())


def read_curve(run: str | Path) -> Curve:
    """Reads a run folder's metrics.jsonl and config.json.

    Where a step was logged twice the later line counts. A last line that is cut short, because the
    run was killed or is writing it, is left out; any other line that is not JSON is a ValueError,
    and so are a missing folder or file, and a file without numbers.
    """
    hint = "give the folder of a cdm-train-base or cdm-train-sr run"
    folder = existing_folder(run, "the run folder", hint)
    file = folder / "metrics.jsonl"
    if not file.is_file():
        raise ValueError(f"{folder} has no metrics.jsonl; {hint}")
    by_step: dict[str, dict[int, float]] = {}
    for record in _records(file):
        for quantity, value in record.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if quantity != "step" and number and math.isfinite(value):
                by_step.setdefault(quantity, {})[record["step"]] = float(value)
    if not by_step:
        raise ValueError(f"{file} holds no numbers yet; let the run log a step first")
    config = read_json(folder / "config.json", "the config of a run")
    return Curve(
        name=str(config.get("name", folder.name)),
        path=folder,
        series={quantity: sorted(points.items()) for quantity, points in by_step.items()},
        config=config,
    )


def _records(file: Path) -> list[dict[str, Any]]:
    text = file.read_text()
    lines = text.split("\n")
    records = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):  # no newline behind it: being written, or cut by a kill
                continue
            raise ValueError(f"line {number} of {file} is not JSON: {error}") from error
        if not isinstance(record, dict) or not isinstance(record.get("step"), int):
            raise ValueError(f"line {number} of {file} is {line!r}, expected an object with a step")
        records.append(record)
    return records
