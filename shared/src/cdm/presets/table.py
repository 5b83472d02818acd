"""Presets as tables to be read across: a column is a model, a row is a setting.

A setting may have two rows, one for the columns in which the paper gives its value and one for
those in which we chose it. So every value carries where it comes from, and `...` in a row means
that this row says nothing about that column.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, Literal

from cdm import config
from cdm.config import StageConfig

# Settings of running and storing, which no model is defined by: they need no source.
LOGISTICS = (
    "name",
    "train.seed",
    "train.log_every",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.keep_every",
    "train.preview_every",
    "train.preview_steps",
    "data.path",
    "data.split",
)


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What stands above a column."""

    table: str  # the table or appendix that describes the model
    expected: str  # the score to expect, and whose measurement it is
    hardware: str  # what it was, or can be, trained on


@dataclass(frozen=True, kw_only=True)
class Preset(Heading):
    """One stage as data, with the source of each of its settings.

    Settings are named `section.field`. Those in neither `given` nor `ours` are logistics, or have
    no effect in this stage (the blur of a stage that does not blur).
    """

    stage: StageConfig
    given: frozenset[str]  # settings whose value is the paper's
    ours: Mapping[str, str]  # settings that no source gives: why we chose the value


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Conditioning augmentation when sampling, of one super-resolution stage (Section 3).

    `s` is the truncation time on the scale of the process that makes z: 0 for the clean image, at
    most that process's number of timesteps. "none" is for stages that take no noise level, those
    trained with blur among them: they see the clean image, and `s` is 0.
    """

    variant: Literal["truncated", "non-truncated", "none"]
    s: int = 0


@dataclass(frozen=True, kw_only=True)
class Cascade:
    """A base stage and the super-resolution stages after it, as names of presets."""

    stages: tuple[str, ...]
    augmentation: tuple[Augmentation, ...]  # one for each super-resolution stage, in order
    table: str
    expected: str
    why: str  # where the variants and the values of s come from


@dataclass(frozen=True)
class Row:
    """One setting of several models. `why` is given for a choice of ours only."""

    setting: str
    cells: tuple[Any, ...]
    source: Literal["paper", "ours", "logistics"]
    why: str = ""


def paper(setting: str, *cells: Any) -> Row:
    """A row of values that the paper gives, or that follow from what it gives."""
    return Row(setting, cells, "paper")


def ours(setting: str, *cells: Any, why: str) -> Row:
    """A row of values that no source gives, with the reason for choosing them."""
    return Row(setting, cells, "ours", why)


def logistics(setting: str, *cells: Any) -> Row:
    """A row that only concerns running and storing."""
    return Row(setting, cells, "logistics")


def read(columns: Mapping[str, Heading], rows: Iterable[Row]) -> dict[str, Preset]:
    """Builds the preset of every column, named as the column is.

    Args:
        columns: names and headings, from left to right.
        rows: one cell for each column; `...` leaves a setting as it is.

    Raises:
        ValueError: a row with another number of cells, an unknown setting or value, a cell that two
            rows fill, a setting of `LOGISTICS` in another kind of row or the reverse.
    """
    rows = tuple(rows)
    return {
        name: _read_column(name, heading, [(row, _cell(row, i, len(columns))) for row in rows])
        for i, (name, heading) in enumerate(columns.items())
    }


def _cell(row: Row, index: int, columns: int) -> Any:
    if len(row.cells) != columns:
        raise ValueError(
            f"the row {row.setting} has {len(row.cells)} cells, expected one for each of the "
            f"{columns} columns; write ... where it says nothing"
        )
    return row.cells[index]


def _read_column(name: str, heading: Heading, cells: list[tuple[Row, Any]]) -> Preset:
    values: dict[str, Any] = {"name": name}
    sources: dict[str, Row] = {}
    for row, value in cells:
        if (row.source == "logistics") != (row.setting in LOGISTICS):
            raise ValueError(
                f"the row {row.setting} is marked {row.source!r}, expected 'logistics' for the "
                "settings in LOGISTICS and 'paper' or 'ours' for all others"
            )
        if isinstance(value, EllipsisType):
            continue
        if row.setting in sources:
            raise ValueError(f"two rows give {row.setting} of {name}; leave one cell as ...")
        sources[row.setting] = row
        section, _, key = row.setting.rpartition(".")
        (values.setdefault(section, {}) if section else values)[key] = value
    return Preset(
        table=heading.table,
        expected=heading.expected,
        hardware=heading.hardware,
        stage=config.from_dict(values, where=f"preset {name}"),
        given=frozenset(s for s, row in sources.items() if row.source == "paper"),
        ours={s: row.why for s, row in sources.items() if row.source == "ours"},
    )
