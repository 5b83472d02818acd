"""The reader of preset tables."""

import dataclasses

import pytest

from cdm import config
from cdm.presets import Preset, table

HEADING = table.Heading(table="Table 9", expected="nothing", hardware="none")


def read_one(*rows: table.Row) -> Preset:
    return table.read({"a": HEADING}, rows)["a"]


def test_a_table_is_read_by_columns():
    made = table.read(
        {"a": HEADING, "b": dataclasses.replace(HEADING, hardware="much")},
        (
            table.paper("model.channels", 32, ...),
            table.ours("model.channels", ..., 96, why="wider"),
            table.ours("model.low_res", None, 8, why="none is a value"),
            table.logistics("train.log_every", 7, ...),
        ),
    )
    assert list(made) == ["a", "b"]
    assert made["a"].stage == config.from_dict(
        {"name": "a", "model": {"channels": 32}, "train": {"log_every": 7}}
    )
    assert made["b"].stage == config.from_dict(
        {"name": "b", "model": {"channels": 96, "low_res": 8}}
    )
    assert made["a"].given == {"model.channels"}
    assert made["a"].ours == {"model.low_res": "none is a value"}
    assert made["b"].given == set()
    assert made["b"].ours == {"model.channels": "wider", "model.low_res": "none is a value"}
    assert (made["a"].hardware, made["b"].hardware) == ("none", "much")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (table.paper("model.channels", 1, 2), r"model\.channels has 2 cells, .* 1 columns"),
        (table.paper("model.chanels", 32), r"preset a: .*did you mean model\.channels"),
        (table.paper("modle.channels", 32), r"preset a: .*did you mean model"),
        (
            table.paper("model.channels", "many"),
            r"model\.channels = 'many': expected a whole number",
        ),
        (table.paper("model.resolution", 16), r"two rows give model\.resolution of a"),
        (table.paper("train.log_every", 5), r"train\.log_every is marked 'paper', expected"),
        (table.logistics("model.channels", 5), r"model\.channels is marked 'logistics', expected"),
    ],
)
def test_a_wrong_row_is_refused(row, message):
    with pytest.raises(ValueError, match=message):
        read_one(table.ours("model.resolution", 32, why="small"), row)
