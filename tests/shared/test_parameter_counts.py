"""The paper's networks have the parameters that an independent count gives (paper_map.md)."""

import pytest

from cdm import presets
from cdm.stage import make_stage
from cdm.training.dry_run import count_parameters

# In millions, from the published sizes; the counter reproduces Improved DDPM's own figure.
INDEPENDENT = {
    "imagenet32_base": 792,
    "imagenet32_64_sr": 718,
    "imagenet64_128_sr": 575,
    "imagenet64_256_sr": 634,
    "imagenet64_base": 273.05,
}


@pytest.mark.parametrize("name", INDEPENDENT)
def test_parameters(name):
    parameters = count_parameters(make_stage(presets.get(name).stage))
    assert parameters / 1e6 == pytest.approx(INDEPENDENT[name], rel=0.002)
