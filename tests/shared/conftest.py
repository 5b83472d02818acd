from pathlib import Path

import numpy as np
import pytest

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def golden():
    """Opens a file of golden figures by name."""
    return lambda name: np.load(GOLDEN / name, allow_pickle=False)


@pytest.fixture
def golden_folder():
    """The folder of golden figures."""
    return GOLDEN
