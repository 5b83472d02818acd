"""Does a super-resolution stage keep to its low-res input? Measured on the stored images."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cdm.images import low_res_consistency

_AT_A_TIME = 1000


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """How a stage's outputs, averaged down, differ from its inputs, in levels of 255."""

    low_res: int
    resolution: int
    mean_abs_difference: float
    colour_shift: tuple[float, float, float]  # mean signed difference of R, G, B


def stage_consistency(stages: Mapping[int, np.ndarray]) -> list[Consistency]:
    """One entry for each stage of uint8 images [n, r, r, 3] and the one before it.

    A pair whose resolutions do not divide has no area mean to compare and is left out.
    """
    resolutions = sorted(stages)
    return [
        _consistency(stages[low], stages[high])
        for low, high in pairwise(resolutions)
        if high % low == 0
    ]


def _consistency(low_res: np.ndarray, images: np.ndarray) -> Consistency:
    absolute, shift, n = 0.0, np.zeros(3), len(images)
    for start in range(0, n, _AT_A_TIME):
        part = slice(start, start + _AT_A_TIME)
        part_absolute, part_shift = low_res_consistency(images[part], low_res[part])
        weight = len(images[part]) / n
        absolute += weight * part_absolute
        shift += weight * np.array(part_shift)
    red, green, blue = (float(channel) for channel in shift)
    return Consistency(
        low_res=low_res.shape[1],
        resolution=images.shape[1],
        mean_abs_difference=absolute,
        colour_shift=(red, green, blue),
    )
