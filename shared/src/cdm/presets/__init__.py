"""Every model of the paper as data, and small ones that train on a CPU. No JAX in here.

`imagenet.py` and `lsun.py` hold the paper's models, `small.py` the demo's and CIFAR-10's. To add a
stage, add a column to a table (or a table of one column) and it appears here.
"""

from cdm import config
from cdm.presets import imagenet, lsun, small
from cdm.presets.table import LOGISTICS, Augmentation, Cascade, Preset

__all__ = [
    "CASCADES",
    "LOGISTICS",
    "PRESETS",
    "Augmentation",
    "Cascade",
    "Preset",
    "get",
    "get_cascade",
]


def get(name: str) -> Preset:
    """The preset of that name; ValueError with the nearest known names if there is none."""
    if name not in PRESETS:
        raise ValueError(config.unknown("preset", name, PRESETS))
    return PRESETS[name]


def get_cascade(name: str) -> Cascade:
    """The cascade of that name; ValueError with the nearest known names if there is none."""
    if name not in CASCADES:
        raise ValueError(config.unknown("cascade", name, CASCADES))
    return CASCADES[name]


PRESETS: dict[str, Preset] = {
    **imagenet.PRESETS,
    **imagenet.ABLATION_PRESETS,
    **lsun.PRESETS,
    **small.PRESETS,
}

CASCADES: dict[str, Cascade] = {
    **imagenet.CASCADES,
    **lsun.CASCADES,
    **small.CASCADES,
}
