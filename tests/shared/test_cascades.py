"""The cascades: stages that fit each other, and the paper's choices and scores."""

from itertools import pairwise

import pytest

from cdm import presets
from cdm.config import StageConfig
from cdm.presets import CASCADES, PRESETS, Cascade

# The settings of a forward process, by the names they have in both sections.
PROCESS = ("schedule", "timesteps", "beta_start", "beta_end")

each_cascade = pytest.mark.parametrize("name", CASCADES)


def chain(cascade: Cascade) -> list[StageConfig]:
    return [PRESETS[stage].stage for stage in cascade.stages]


@each_cascade
def test_stages_chain(name):
    stages = chain(CASCADES[name])
    assert [stage.kind for stage in stages] == ["base"] + ["sr"] * (len(stages) - 1)
    for before, after in pairwise(stages):
        assert after.model.low_res == before.model.resolution
        assert after.model.num_classes == before.model.num_classes
        for key in PROCESS:
            assert getattr(after.augment, key) == getattr(before.diffusion, key), key


@each_cascade
def test_augmentation_when_sampling_is_what_the_stages_were_trained_for(name):
    cascade = CASCADES[name]
    stages = chain(cascade)
    assert len(cascade.augmentation) == len(stages) - 1
    for stage, augmentation in zip(stages[1:], cascade.augmentation, strict=True):
        if stage.augment.conditioning == "gaussian":
            assert augmentation.variant in ("truncated", "non-truncated")
            assert 1 <= augmentation.s <= stage.augment.timesteps
        else:
            assert (augmentation.variant, augmentation.s) == ("none", 0)
    assert cascade.table.strip()
    assert cascade.expected.strip()
    assert cascade.why.strip()


def test_every_super_resolution_stage_is_in_a_cascade():
    in_cascades = {stage for cascade in CASCADES.values() for stage in cascade.stages}
    assert set(PRESETS) - in_cascades == {"imagenet64_base"}  # the paper's model without a cascade


def test_the_paper_s_choices_of_s():
    assert CASCADES["imagenet64"].augmentation == (
        presets.Augmentation(variant="truncated", s=501),
    )
    assert CASCADES["imagenet16_64"].augmentation == (
        presets.Augmentation(variant="non-truncated", s=1001),
    )
    for scene in ("bedroom", "church"):
        assert CASCADES[f"lsun_{scene}128"].augmentation[0].variant == "non-truncated"


def test_the_published_scores_are_cited():
    # Table 1: FID against train, against validation, IS.
    for name, figures in {
        "imagenet64": ("1.48", "2.48", "67.95 ± 1.97"),
        "imagenet128": ("3.52", "3.76", "128.80 ± 2.51"),
        "imagenet256": ("4.88", "4.63", "158.71 ± 2.26"),
    }.items():
        last = PRESETS[CASCADES[name].stages[-1]]
        for text in (CASCADES[name].expected, last.expected):
            assert all(figure in text for figure in figures), name
            assert "not measured by us" in text
    for figure in ("1.11", "1.99", "26.01 ± 0.59"):
        assert figure in PRESETS["imagenet32_base"].expected
