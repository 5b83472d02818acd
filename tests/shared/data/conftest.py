"""A small data set, written by the record writer alone."""

from pathlib import Path

import pytest

from ..tiny import SHARDS, SIZES, pixels, write_dataset

__all__ = ["SHARDS", "SIZES", "pixels"]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A folder with the split `train`: 12 records in three shards at 4 and 8 pixels, 3 classes."""
    return write_dataset(tmp_path / "data", class_names=("a", "b", "c"))
