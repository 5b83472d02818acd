"""Typed settings: overrides, files, and the messages for mistakes."""

import json
import subprocess
import sys
import typing
from pathlib import Path

import pytest

from cdm import config
from cdm.config import AugmentConfig, DataConfig, DiffusionConfig, ModelConfig, StageConfig

DEFAULT = StageConfig()

# A config in which every setting has another value than its default.
OTHER = {
    "name": "other",
    "model": {
        "resolution": 128,
        "low_res": 32,
        "num_classes": None,
        "channels": 96,
        "channel_multipliers": [1, 3],
        "num_res_blocks": 5,
        "attention_resolutions": [16, 8],
        "num_heads": 2,
        "head_channels": 48,
        "norm_groups": 16,
        "dropout": 0.25,
        "resample": "resblock",
        "embedding": "additive",
        "skip_rescale": True,
        "upsample": "bicubic",
        "dtype": "bfloat16",
    },
    "diffusion": {
        "schedule": "linear",
        "timesteps": 2000,
        "beta_start": 1e-6,
        "beta_end": 0.01,
        "noise_conditioning": "alpha_bar",
        "prediction": "v",
        "variance": "fixed_large",
        "loss": "simple",
        "sampling_steps": 100,
    },
    "augment": {
        "conditioning": "blur",
        "schedule": "linear",
        "timesteps": 4000,
        "beta_start": 1e-5,
        "beta_end": 0.02,
        "blur_sigma": [0.1, 0.9],
        "blur_probability": 0.75,
        "flip": True,
    },
    "optim": {
        "learning_rate": 3e-4,
        "warmup_steps": 10,
        "beta1": 0.8,
        "beta2": 0.99,
        "epsilon": 1e-7,
        "grad_clip": None,
        "ema_decay": 0.5,
        "ema_startup": False,
    },
    "train": {
        "batch_size": 3,
        "steps": 4,
        "seed": 5,
        "log_every": 6,
        "checkpoint_every": 7,
        "keep_checkpoints": 8,
        "keep_every": 9,
        "preview_every": 11,
        "preview_steps": 12,
    },
    "data": {"path": "some/where", "split": "validation"},
}


def as_text(value) -> str:
    """A value as one types it after `--set name=`."""
    if isinstance(value, list | tuple):
        return ",".join(str(v) for v in value)
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def flat(values) -> dict[str, object]:
    out = {"name": values["name"]}
    for section in ("model", "diffusion", "augment", "optim", "train", "data"):
        out |= {f"{section}.{key}": value for key, value in values[section].items()}
    return out


# Names and values


def test_field_names_are_those_of_the_dataclasses():
    assert config.field_names() == list(flat(config.to_dict(DEFAULT)))
    assert config.field_names() == list(flat(OTHER))


def test_a_stage_with_low_res_input_is_a_super_resolution_stage():
    assert StageConfig().kind == "base"
    assert StageConfig(model=ModelConfig(resolution=64, low_res=32)).kind == "sr"


def test_resumable_settings_exist_and_leave_out_what_training_depends_on():
    assert set(config.RESUMABLE) <= set(config.field_names())
    sections = {name.partition(".")[0] for name in config.RESUMABLE}
    assert sections.isdisjoint({"model", "augment", "optim"})
    assert not {"train.seed", "train.batch_size", "data.split"} & set(config.RESUMABLE)


def test_dicts_there_and_back():
    made = config.from_dict(OTHER)
    assert config.to_dict(made) == OTHER
    assert made.model.channel_multipliers == (1, 3)
    assert made.augment == AugmentConfig(
        conditioning="blur",
        schedule="linear",
        timesteps=4000,
        beta_start=1e-5,
        beta_end=0.02,
        blur_sigma=(0.1, 0.9),
        blur_probability=0.75,
        flip=True,
    )
    assert isinstance(hash(made), int)  # a jitted function may take a config as a static argument


def test_what_a_dict_leaves_out_keeps_its_default():
    assert config.from_dict({}) == DEFAULT
    made = config.from_dict({"diffusion": {"timesteps": 7}})
    assert made == StageConfig(diffusion=DiffusionConfig(timesteps=7))


def test_a_whole_number_may_stand_where_a_number_is_meant():
    made = config.from_dict({"model": {"dropout": 0}, "augment": {"blur_sigma": [1, 2]}})
    assert isinstance(made.model.dropout, float)
    assert [type(value) for value in made.augment.blur_sigma] == [float, float]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": {"chanels": 3}}, r"unknown setting 'model\.chanels'; did you mean model\.ch"),
        ({"modle": {}}, r"unknown setting 'modle'; did you mean model\?"),
        ({"model": 3}, r"model is a section of settings, got 3"),
        ({"model": {"channels": 3.5}}, r"model\.channels = 3\.5: expected a whole number"),
        ({"model": {"channels": True}}, r"model\.channels = True: expected a whole number"),
        ({"model": {"channels": None}}, r"model\.channels = None: expected a whole number"),
        ({"model": {"dropout": "0.1"}}, r"model\.dropout = '0\.1': expected a number"),
        ({"model": {"dropout": False}}, r"model\.dropout = False: expected a number"),
        ({"model": {"skip_rescale": 1}}, r"model\.skip_rescale = 1: expected true or false"),
        ({"model": {"resample": "cov"}}, r"model\.resample = 'cov': .*did you mean conv\?"),
        ({"model": {"channel_multipliers": 4}}, r"multipliers = 4: expected a list of int"),
        ({"model": {"channel_multipliers": [1, "2"]}}, r"= '2': expected a whole number"),
        ({"augment": {"blur_sigma": [0.4]}}, r"blur_sigma = \[0\.4\]: expected 2 values of float"),
        ({"optim": {"learning_rate": float("nan")}}, r"learning_rate = nan: expected a finite"),
        ({"optim": {"grad_clip": float("inf")}}, r"grad_clip = inf: expected a finite number"),
        ({"data": {"path": 3}}, r"data\.path = 3: expected text"),
        ({"name": None}, r"name = None: expected text"),
    ],
)
def test_wrong_values_are_named_with_what_was_expected(values, message):
    with pytest.raises(ValueError, match=rf"^here: .*{message}"):
        config.from_dict(values, where="here")


# Overrides


@pytest.mark.parametrize("name", config.field_names())
def test_every_setting_can_be_typed(name):
    value = flat(OTHER)[name]
    changed = config.override(DEFAULT, [f"{name}={as_text(value)}"])
    assert flat(config.to_dict(changed)) == {**flat(config.to_dict(DEFAULT)), name: value}
    # and the default again, which is how `none` gets to every setting that may be absent
    back = config.override(changed, [f"{name}={as_text(flat(config.to_dict(DEFAULT))[name])}"])
    assert back == DEFAULT


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("model.channel_multipliers=1, 2, 4", "model.channel_multipliers", (1, 2, 4)),
        ("model.attention_resolutions=8", "model.attention_resolutions", (8,)),
        ("model.attention_resolutions=", "model.attention_resolutions", ()),
        ("model.num_classes=none", "model.num_classes", None),
        ("model.num_classes=None", "model.num_classes", None),
        ("model.low_res=null", "model.low_res", None),
        ("model.skip_rescale=True", "model.skip_rescale", True),
        ("model.dropout=1e-1", "model.dropout", 0.1),
        ("optim.grad_clip=2", "optim.grad_clip", 2.0),
        ("augment.blur_sigma=0.4,1", "augment.blur_sigma", (0.4, 1.0)),
        ("data.path=/a/b=c", "data.path", "/a/b=c"),
        ("data.path=", "data.path", ""),
        ("name=none", "name", "none"),
    ],
)
def test_texts_are_parsed_by_the_type_of_their_setting(text, name, value):
    start = config.from_dict({"model": {"low_res": 8}})
    got = config.override(start, [text])
    for part in name.split("."):
        got = getattr(got, part)
    assert got == value
    assert type(got) is type(value)


def test_later_overrides_win_and_the_given_config_stays():
    changed = config.override(DEFAULT, ["train.steps=5", "train.seed=1", "train.steps=6"])
    assert (changed.train.steps, changed.train.seed) == (6, 1)
    assert StageConfig() == DEFAULT
    assert config.override(DEFAULT, []) == DEFAULT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model.channels", r"--set model\.channels: expected section\.field=value"),
        ("model.chanels=3", r"unknown setting 'model\.chanels'; did you mean model\.channels"),
        ("channels=3", r"unknown setting 'channels'; did you mean .*model\.channels"),
        ("model=3", r"unknown setting 'model'"),
        ("=3", r"unknown setting ''; known: augment\.beta_end, "),
        ("model.channels=wide", r"--set model\.channels = 'wide': expected a whole number"),
        ("model.channels=6.4", r"--set model\.channels = '6\.4': expected a whole number"),
        ("model.channels=none", r"--set model\.channels = 'none': expected a whole number"),
        ("model.low_res=small", r"--set model\.low_res = 'small': expected a whole number"),
        ("model.channel_multipliers=1,b", r"multipliers = 'b': expected a whole number"),
        ("model.skip_rescale=yes", r"skip_rescale = 'yes': expected true or false"),
        ("augment.blur_sigma=0.4", r"blur_sigma = \[0\.4\]: expected 2 values of float"),
        ("optim.learning_rate=fast", r"learning_rate = 'fast': expected a number"),
        ("optim.learning_rate=nan", r"learning_rate = nan: expected a finite number"),
        ("diffusion.schedule=cosin", r"schedule = 'cosin': .*did you mean cosine\?"),
        ("diffusion.schedule=qq", r"unknown value 'qq'; known: cosine, linear"),
    ],
)
def test_mistakes_on_the_command_line_are_explained(text, message):
    with pytest.raises(ValueError, match=message):
        config.override(DEFAULT, [text])


# Comparing


def test_differences_are_listed_in_the_order_of_the_settings():
    changed = config.override(
        DEFAULT, ["train.steps=5", "name=mine", "model.channel_multipliers=1,2"]
    )
    assert config.differences(DEFAULT, changed) == [
        ("name", "stage", "mine"),
        ("model.channel_multipliers", (1, 2, 4), (1, 2)),
        ("train.steps", 10_000, 5),
    ]
    assert config.differences(changed, changed) == []


def test_differences_see_every_setting():
    rows = config.differences(DEFAULT, config.from_dict(OTHER))
    assert [name for name, _, _ in rows] == config.field_names()


# Files


def test_load_reads_what_to_dict_wrote(tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**OTHER, "name": "Bäume"}, ensure_ascii=False), encoding="utf-8")
    assert config.load(path) == config.from_dict({**OTHER, "name": "Bäume"})
    assert config.load(str(path)) == config.load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"config\.json is not JSON"),
        (b"\xff\xfe\x00", r"config\.json is not JSON"),
        (b"[1]", r"config\.json holds a list, expected an object of settings"),
        (b'{"trian": {}}', r"config\.json: unknown setting 'trian'; did you mean train\?"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        config.load(path)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"cannot read the config .*no\.json: No such file"):
        config.load(tmp_path / "no.json")
    with pytest.raises(ValueError, match=r"cannot read the config .*: Is a directory"):
        config.load(tmp_path)


# Types


def test_every_type_in_use_has_been_tried_above():
    """A setting of a new type needs a way to be typed, checked and tested."""
    seen = set()
    for section in typing.get_type_hints(StageConfig).values():
        if section is not str:
            seen |= set(map(str, typing.get_type_hints(section).values()))
    plain = {kind for kind in seen if not kind.startswith("typing.Literal")}
    assert plain == {
        "<class 'int'>",
        "<class 'float'>",
        "<class 'bool'>",
        "<class 'str'>",
        "int | None",
        "float | None",
        "tuple[int, ...]",
        "tuple[float, float]",
    }


def test_configs_cannot_be_changed_in_place():
    with pytest.raises(AttributeError):
        DataConfig().path = "x"  # type: ignore[misc]


def test_config_does_not_import_jax():
    code = (
        "import sys, cdm.config; print([m for m in ('jax', 'flax', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
