"""The presets against the paper and their sources."""

import json
import subprocess
import sys

import pytest

from cdm import config, presets
from cdm.config import StageConfig
from cdm.presets import CASCADES, LOGISTICS, PRESETS

# Appendix B and the text around it, typed in a second time, by model and not by setting.
APPENDIX_B = {
    "imagenet32_base": {
        "model.resolution": 32,
        "model.low_res": None,
        "model.num_classes": 1000,
        "model.channels": 256,
        "model.channel_multipliers": (1, 2, 3, 4),
        "model.num_res_blocks": 6,
        "model.attention_resolutions": (8, 16),
        "model.num_heads": 4,
        "model.dropout": 0.1,
        "diffusion.schedule": "cosine",
        "diffusion.timesteps": 4000,
        "diffusion.noise_conditioning": "timestep",
        "diffusion.prediction": "eps",
        "diffusion.variance": "learned",
        "diffusion.loss": "hybrid",
        "diffusion.sampling_steps": None,
        "augment.conditioning": "none",
        "augment.flip": True,
        "optim.learning_rate": 1e-4,
        "optim.ema_decay": 0.9999,
        "train.batch_size": 2048,
        "train.steps": 700_000,
    },
    "imagenet32_64_sr": {
        "model.resolution": 64,
        "model.low_res": 32,
        "model.num_classes": 1000,
        "model.channels": 256,
        "model.channel_multipliers": (1, 2, 3, 4),
        "model.num_res_blocks": 5,
        "model.attention_resolutions": (8, 16),
        "model.num_heads": 4,
        "model.dropout": 0.1,
        "diffusion.schedule": "cosine",
        "diffusion.timesteps": 4000,
        "diffusion.noise_conditioning": "timestep",
        "diffusion.prediction": "eps",
        "diffusion.variance": "learned",
        "diffusion.loss": "hybrid",
        "diffusion.sampling_steps": None,
        "augment.conditioning": "gaussian",
        "augment.schedule": "cosine",
        "augment.timesteps": 4000,
        "optim.learning_rate": 1e-4,
        "optim.ema_decay": 0.9999,
        "train.batch_size": 2048,
        "train.steps": 400_000,
    },
    "imagenet64_128_sr": {
        "model.resolution": 128,
        "model.low_res": 64,
        "model.num_classes": 1000,
        "model.channels": 128,
        "model.channel_multipliers": (1, 2, 4, 8, 8),
        "model.num_res_blocks": 3,
        "model.attention_resolutions": (16,),
        "model.num_heads": 1,
        "model.dropout": 0.0,
        "diffusion.timesteps": 2000,
        "diffusion.noise_conditioning": "alpha_bar",
        "diffusion.prediction": "eps",
        "diffusion.sampling_steps": 100,
        "augment.conditioning": "blur",
        "augment.schedule": "cosine",
        "augment.timesteps": 4000,
        "augment.blur_probability": 0.5,
        "optim.learning_rate": 1e-4,
        "optim.ema_decay": 0.9999,
        "train.batch_size": 1024,
        "train.steps": 500_000,
    },
    "imagenet64_256_sr": {
        "model.resolution": 256,
        "model.low_res": 64,
        "model.num_classes": 1000,
        "model.channels": 128,
        "model.channel_multipliers": (1, 2, 4, 4, 8, 8),
        "model.num_res_blocks": 3,
        "model.attention_resolutions": (16,),
        "model.num_heads": 1,
        "model.dropout": 0.0,
        "diffusion.timesteps": 2000,
        "diffusion.noise_conditioning": "alpha_bar",
        "diffusion.prediction": "eps",
        "diffusion.sampling_steps": 100,
        "augment.conditioning": "blur",
        "augment.schedule": "cosine",
        "augment.timesteps": 4000,
        "augment.blur_sigma": (0.4, 0.6),
        "augment.blur_probability": 0.5,
        "augment.flip": True,
        "optim.learning_rate": 1e-4,
        "optim.ema_decay": 0.9999,
        "train.batch_size": 1024,
        "train.steps": 500_000,
    },
}

# What the paper says in its text of the models that its appendix does not list.
GIVEN_ELSEWHERE = {
    "imagenet64_base": {
        "model.resolution": 64,
        "model.low_res": None,
        "model.num_classes": 1000,
        "diffusion.timesteps": 4000,
        "diffusion.sampling_steps": None,
        "diffusion.prediction": "eps",
        "augment.conditioning": "none",
    },
    "imagenet16_base": {
        "model.resolution": 16,
        "model.low_res": None,
        "model.num_classes": 1000,
        "diffusion.prediction": "eps",
        "augment.conditioning": "none",
    },
    "imagenet16_64_sr": {
        "model.resolution": 64,
        "model.low_res": 16,
        "model.num_classes": 1000,
        "diffusion.prediction": "eps",
        "augment.conditioning": "gaussian",
    },
    **{
        f"lsun_{scene}64_base": {
            "model.resolution": 64,
            "model.low_res": None,
            "model.num_classes": None,
            "diffusion.prediction": "eps",
            "augment.conditioning": "none",
        }
        for scene in ("bedroom", "church")
    },
    **{
        f"lsun_{scene}64_128_sr": {
            "model.resolution": 128,
            "model.low_res": 64,
            "model.num_classes": None,
            "diffusion.prediction": "eps",
            "augment.conditioning": "gaussian",
        }
        for scene in ("bedroom", "church")
    },
}

SMALL = ("demo16_base", "demo16_32_sr", "cifar10_16_base", "cifar10_16_32_sr")

each_preset = pytest.mark.parametrize("name", PRESETS)


def value_of(stage: StageConfig, setting: str):
    section, key = setting.split(".")
    return getattr(getattr(stage, section), key)


def without_effect(stage: StageConfig) -> set[str]:
    """Settings that cannot change this stage, whatever their value."""
    names = set()
    if stage.kind == "base":
        names |= {"model.upsample"}
    if stage.model.head_channels is None:
        names |= {"model.head_channels"}
    else:
        names |= {"model.num_heads"}
    if stage.diffusion.schedule != "linear":
        names |= {"diffusion.beta_start", "diffusion.beta_end"}
    if stage.augment.conditioning != "gaussian":
        names |= {f"augment.{key}" for key in ("schedule", "timesteps", "beta_start", "beta_end")}
    elif stage.augment.schedule != "linear":
        names |= {"augment.beta_start", "augment.beta_end"}
    if stage.augment.conditioning != "blur":
        names |= {"augment.blur_sigma", "augment.blur_probability"}
    return names


# The values


@pytest.mark.parametrize("name", APPENDIX_B)
def test_the_four_models_of_appendix_b_have_its_values(name):
    stage = PRESETS[name].stage
    assert {s: value_of(stage, s) for s in APPENDIX_B[name]} == APPENDIX_B[name]


@pytest.mark.parametrize("name", GIVEN_ELSEWHERE)
def test_the_other_models_have_what_the_text_says(name):
    stage = PRESETS[name].stage
    assert {s: value_of(stage, s) for s in GIVEN_ELSEWHERE[name]} == GIVEN_ELSEWHERE[name]


def test_the_linear_schedules_are_those_of_the_models_conditioned_on_alpha_bar():
    linear = {n for n, p in PRESETS.items() if p.stage.diffusion.schedule == "linear"}
    assert linear == {"imagenet64_128_sr", "imagenet64_256_sr"}
    for name in linear:
        diffusion = PRESETS[name].stage.diffusion
        assert (diffusion.beta_start, diffusion.beta_end) == (1e-6, 1e-2)
        assert diffusion.noise_conditioning == "alpha_bar"
        assert (diffusion.variance, diffusion.loss) == ("fixed_large", "simple")


@each_preset
def test_names_say_resolutions_and_kind(name):
    stage = PRESETS[name].stage
    assert stage.name == name
    sizes, _, kind = name.rpartition("_")
    assert kind == stage.kind
    ending = str(stage.model.resolution)
    if kind == "sr":
        ending = f"{stage.model.low_res}_{ending}"
    assert sizes.endswith(ending)


# Where the values come from


@pytest.mark.parametrize("name", [*APPENDIX_B, *GIVEN_ELSEWHERE])
def test_given_is_exactly_what_the_paper_gives(name):
    assert PRESETS[name].given == set({**APPENDIX_B, **GIVEN_ELSEWHERE}[name])


@pytest.mark.parametrize("name", SMALL)
def test_the_small_models_claim_nothing_from_the_paper(name):
    assert PRESETS[name].given == frozenset()


def test_every_preset_is_in_one_of_the_tables_above():
    assert set(PRESETS) == {*APPENDIX_B, *GIVEN_ELSEWHERE, *SMALL}


@each_preset
def test_every_setting_has_a_source_or_a_reason(name):
    preset = PRESETS[name]
    sourced = preset.given | set(preset.ours)
    assert not preset.given & set(preset.ours)
    assert sourced <= set(config.field_names()) - set(LOGISTICS)
    missing = set(config.field_names()) - set(LOGISTICS) - sourced
    assert missing <= without_effect(preset.stage), sorted(missing - without_effect(preset.stage))


@each_preset
def test_reasons_and_headings_are_written(name):
    preset = PRESETS[name]
    assert all(reason.strip() for reason in preset.ours.values())
    assert preset.table.strip()
    assert preset.expected.strip()
    assert preset.hardware.strip()


def test_logistics_are_known_settings():
    assert set(LOGISTICS) <= set(config.field_names())
    assert set(LOGISTICS) & set(config.RESUMABLE) >= {"train.log_every", "data.path"}


# Networks that can be built


@each_preset
def test_the_network_fits_its_maps(name):
    model = PRESETS[name].stage.model
    levels = len(model.channel_multipliers)
    maps = [model.resolution // 2**level for level in range(levels)]
    assert model.resolution % 2 ** (levels - 1) == 0
    assert set(model.attention_resolutions) <= set(maps), "attention at a size that never occurs"
    for size, multiplier in zip(maps, model.channel_multipliers, strict=True):
        width = model.channels * multiplier
        assert width % model.norm_groups == 0
        if size in model.attention_resolutions or size == maps[-1]:
            assert width % (model.head_channels or model.num_heads) == 0
    if model.low_res is not None:
        assert model.resolution % model.low_res == 0
        assert model.resolution > model.low_res


def test_the_lsun_networks_have_the_same_widths_on_the_same_maps():
    def widths(name):
        model = PRESETS[name].stage.model
        return {
            model.resolution // 2**level: model.channels * multiplier
            for level, multiplier in enumerate(model.channel_multipliers)
        }

    for scene in ("bedroom", "church"):
        small = widths(f"lsun_{scene}64_base")
        assert small == {64: 128, 32: 256, 16: 384, 8: 512}
        assert small.items() <= widths(f"lsun_{scene}64_128_sr").items()


@each_preset
def test_loss_and_variance_belong_together(name):
    diffusion = PRESETS[name].stage.diffusion
    assert (diffusion.loss == "hybrid") == (diffusion.variance == "learned")


@each_preset
def test_glyphs_are_not_mirrored_and_everything_else_is(name):
    assert PRESETS[name].stage.augment.flip == (not name.startswith("demo"))


# Use


@each_preset
def test_a_preset_goes_through_json(name):
    stage = PRESETS[name].stage
    assert config.from_dict(json.loads(json.dumps(config.to_dict(stage)))) == stage


def test_get_finds_and_suggests():
    assert presets.get("imagenet32_base") is PRESETS["imagenet32_base"]
    assert presets.get_cascade("imagenet256") is CASCADES["imagenet256"]
    with pytest.raises(ValueError, match=r"unknown preset 'imagenet32_bas'; did you mean imagen"):
        presets.get("imagenet32_bas")
    with pytest.raises(ValueError, match=r"unknown preset 'qq'; known: cifar10_16_32_sr, "):
        presets.get("qq")
    with pytest.raises(ValueError, match=r"unknown cascade 'cifar'; did you mean cifar10\?"):
        presets.get_cascade("cifar")


def test_presets_do_not_import_jax():
    code = (
        "import sys, cdm.presets; print([m for m in ('jax', 'flax', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
