"""The settings of a stage: frozen dataclasses, typed overrides, JSON. No JAX in here."""

import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The U-Net (paper, Section 2.3 and Appendix B).

    Sizes in pixels are of feature maps, which are square. A base stage is one whose `low_res` is
    None; `num_classes` None makes the stage unconditional.
    """

    resolution: int = 32
    low_res: int | None = None
    num_classes: int | None = 10
    channels: int = 64
    channel_multipliers: tuple[int, ...] = (1, 2, 4)
    num_res_blocks: int = 2
    attention_resolutions: tuple[int, ...] = (8,)
    num_heads: int = 4
    head_channels: int | None = None  # if set, heads = channels of the block / head_channels
    norm_groups: int = 32  # of GroupNorm, or as many as divide the channels
    dropout: float = 0.0
    resample: Literal["conv", "resblock"] = "conv"  # strided conv (DDPM), or BigGAN up/down blocks
    embedding: Literal["scale_shift", "additive"] = "scale_shift"
    skip_rescale: bool = False  # residual sums times 1/sqrt(2), as in SR3
    upsample: Literal["bilinear", "bicubic"] = "bilinear"  # of the low-res input
    dtype: Literal["float32", "bfloat16"] = "float32"  # of activations; parameters are float32


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig:
    """The forward process, what the network predicts of it, and the loss."""

    schedule: Literal["cosine", "linear"] = "cosine"
    timesteps: int = 1000
    beta_start: float | None = None  # linear only; None: DDPM's 1e-4 .. 0.02 rescaled to T
    beta_end: float | None = None
    noise_conditioning: Literal["timestep", "alpha_bar"] = "timestep"
    prediction: Literal["eps", "v", "x_0"] = "eps"  # what the network's output means
    variance: Literal["learned", "fixed_large", "fixed_small"] = "learned"
    loss: Literal["hybrid", "simple"] = "hybrid"
    sampling_steps: int | None = None  # steps when sampling; None: all of them


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Conditioning augmentation of the low-res input (Section 3), and flips.

    `schedule`, `timesteps`, `beta_start` and `beta_end` are those of the forward process that
    carries z_0 to z_s: the process of the stage that makes z, not of this one.
    """

    conditioning: Literal["none", "gaussian", "blur"] = "none"
    schedule: Literal["cosine", "linear"] = "cosine"
    timesteps: int = 1000
    beta_start: float | None = None
    beta_end: float | None = None
    blur_sigma: tuple[float, float] = (0.4, 0.6)  # pixels of the low-res image
    blur_probability: float = 0.5
    flip: bool = False  # random left-right flips, of x and z together


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """Adam with linear warm-up and gradient clipping, and the average of the parameters."""

    learning_rate: float = 1e-4
    warmup_steps: int = 0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    grad_clip: float | None = 1.0  # global norm
    ema_decay: float = 0.9999
    ema_startup: bool = True  # decay min(ema_decay, (1 + step) / (10 + step))


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How long, and how often what. All intervals are in steps."""

    batch_size: int = 128  # of all devices together
    steps: int = 10_000
    seed: int = 0
    log_every: int = 50
    checkpoint_every: int = 1_000
    keep_checkpoints: int = 3
    keep_every: int | None = None  # besides the newest, those at multiples of this step stay
    preview_every: int = 1_000
    preview_steps: int = 50  # sampling steps of a preview


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the records are (docs/files.md)."""

    path: str = ""
    split: str = "train"


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """Everything that defines the training of one stage."""

    name: str = "stage"
    model: ModelConfig = field(default_factory=ModelConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    data: DataConfig = field(default_factory=DataConfig)

    @property
    def kind(self) -> Literal["base", "sr"]:
        """A base stage has no low-res input; a super-resolution stage has."""
        return "base" if self.model.low_res is None else "sr"


# What numbers a setting may take; for a list, each of them. What depends on several settings is
# checked where it is used.
AT_LEAST_0 = (lambda value: value >= 0, "0 or more")
AT_LEAST_1 = (lambda value: value >= 1, "1 or more")
ABOVE_0 = (lambda value: value > 0, "more than 0")
FRACTION = (lambda value: 0 <= value <= 1, "from 0 to 1")
BELOW_1 = (lambda value: 0 <= value < 1, "0 or more, but less than 1")
RANGES = {
    "model.resolution": AT_LEAST_1,
    "model.low_res": AT_LEAST_1,
    "model.num_classes": AT_LEAST_1,
    "model.channels": AT_LEAST_1,
    "model.channel_multipliers": AT_LEAST_1,
    "model.num_res_blocks": AT_LEAST_1,
    "model.attention_resolutions": AT_LEAST_1,
    "model.num_heads": AT_LEAST_1,
    "model.head_channels": AT_LEAST_1,
    "model.norm_groups": AT_LEAST_1,
    "model.dropout": BELOW_1,
    "diffusion.timesteps": AT_LEAST_1,
    "diffusion.beta_start": ABOVE_0,
    "diffusion.beta_end": ABOVE_0,
    "diffusion.sampling_steps": AT_LEAST_1,
    "augment.timesteps": AT_LEAST_1,
    "augment.beta_start": ABOVE_0,
    "augment.beta_end": ABOVE_0,
    "augment.blur_sigma": ABOVE_0,
    "augment.blur_probability": FRACTION,
    "optim.learning_rate": ABOVE_0,
    "optim.warmup_steps": AT_LEAST_0,
    "optim.beta1": BELOW_1,
    "optim.beta2": BELOW_1,
    "optim.epsilon": ABOVE_0,
    "optim.grad_clip": ABOVE_0,
    "optim.ema_decay": FRACTION,
    "train.batch_size": AT_LEAST_1,
    "train.steps": AT_LEAST_1,
    "train.seed": AT_LEAST_0,
    "train.log_every": AT_LEAST_1,
    "train.checkpoint_every": AT_LEAST_1,
    "train.keep_checkpoints": AT_LEAST_1,
    "train.keep_every": AT_LEAST_1,
    "train.preview_every": AT_LEAST_1,
    "train.preview_steps": AT_LEAST_1,
}


# Where these differ, a run may still be resumed: they change nothing in the trained numbers.
RESUMABLE = (
    "name",
    "data.path",
    "train.steps",
    "train.log_every",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.keep_every",
    "train.preview_every",
    "train.preview_steps",
    "diffusion.sampling_steps",
)


def to_dict(config: Any) -> dict[str, Any]:
    """A config as nested dicts and lists, ready for JSON."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(values: Mapping[str, Any], *, where: str = "config") -> StageConfig:
    """Builds a StageConfig from nested dicts; unknown names and wrong types raise ValueError.

    What is not named keeps its default, so that a file may hold only what differs.
    """
    return _build(StageConfig, values, where, prefix="")


def load(path: str | Path) -> StageConfig:
    """Reads a config from a JSON file (ValueError if it is not one)."""
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read the config {path}: {error.strerror}") from error
    except ValueError as error:  # not JSON, or not even text
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds a {type(values).__name__}, expected an object of settings")
    return from_dict(values, where=str(path))


def override(config: StageConfig, assignments: Iterable[str]) -> StageConfig:
    """Applies `section.field=value` texts, each parsed by its field's type.

    Tuples are written `1,2,4`, an absent value `none`, truth `true` or `false`.
    """
    values = to_dict(config)
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set {text}: expected section.field=value")
        names = field_names()
        if name not in names:
            raise ValueError(f"--set {text}: {unknown('setting', name, names)}")
        section, _, key = name.rpartition(".")
        target = values[section] if section else values
        owner = type(getattr(config, section)) if section else StageConfig
        target[key] = _parse(value, typing.get_type_hints(owner)[key], f"--set {name}")
    return from_dict(values, where="--set")


def field_names() -> list[str]:
    """All settings as `section.field`, in the order of the dataclasses."""
    names = []
    for outer in dataclasses.fields(StageConfig):
        kind = typing.get_type_hints(StageConfig)[outer.name]
        if dataclasses.is_dataclass(kind):
            names += [f"{outer.name}.{inner.name}" for inner in dataclasses.fields(kind)]
        else:
            names.append(outer.name)
    return names


def differences(a: StageConfig, b: StageConfig) -> list[tuple[str, Any, Any]]:
    """The settings in which two configs differ: (section.field, value in a, value in b)."""
    rows = []
    for name in field_names():
        left: Any = a
        right: Any = b
        for part in name.split("."):
            left, right = getattr(left, part), getattr(right, part)
        if left != right:
            rows.append((name, left, right))
    return rows


def unknown(what: str, got: str, known: Iterable[str]) -> str:
    """The text of an error about an unknown name: the nearest known ones, or all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(got, known, n=3, cutoff=0.6)
    if near:
        return f"unknown {what} '{got}'; did you mean {' or '.join(near)}?"
    return f"unknown {what} '{got}'; known: {', '.join(known)}"


def _build(cls: type, values: Mapping[str, Any], where: str, prefix: str) -> Any:
    hints = typing.get_type_hints(cls)
    arguments = {}
    for name, value in values.items():
        full = f"{prefix}{name}"
        if name not in hints:
            raise ValueError(f"{where}: {unknown('setting', full, [prefix + n for n in hints])}")
        if dataclasses.is_dataclass(hints[name]):
            if not isinstance(value, Mapping):
                raise ValueError(f"{where}: {full} is a section of settings, got {value!r}")
            arguments[name] = _build(hints[name], value, where, f"{full}.")
        else:
            arguments[name] = _check(value, hints[name], f"{where}: {full}")
            _check_range(arguments[name], full, where)
    return cls(**arguments)


def _check(value: Any, hint: Any, where: str) -> Any:
    """The value as its type, or ValueError saying what was got and what was expected."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        inner = next(a for a in args if a is not type(None))
        return _check(value, inner, where)
    if origin is Literal:
        if value not in args:
            raise ValueError(f"{where} = {value!r}: {unknown('value', str(value), args)}")
        return value
    if origin is tuple:
        variadic = args[-1] is Ellipsis
        if not isinstance(value, list | tuple) or not (variadic or len(value) == len(args)):
            size = "a list of" if variadic else f"{len(args)} values of"
            raise ValueError(f"{where} = {value!r}: expected {size} {args[0].__name__}")
        return tuple(_check(v, args[0], where) for v in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ValueError(f"{where} = {value!r}: expected {_word(hint)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} = {value!r}: expected a finite number")
    return value


def _check_range(value: Any, name: str, where: str) -> None:
    """ValueError for a number that makes no sense for the setting of this name."""
    if value is None or name not in RANGES:
        return
    fits, expected = RANGES[name]
    numbers = value if isinstance(value, tuple) else (value,)
    if not all(fits(number) for number in numbers):
        raise ValueError(f"{where}: {name} = {value!r}: expected {expected}")


def _parse(text: str, hint: Any, where: str) -> Any:
    """The value that a command line's text means for a field of this type."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if text.lower() in ("none", "null"):
            return None
        return _parse(text, next(a for a in args if a is not type(None)), where)
    if origin is tuple:
        return [_parse(part.strip(), args[0], where) for part in text.split(",") if part.strip()]
    if hint is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise ValueError(f"{where} = {text!r}: expected true or false")
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError:
            raise ValueError(f"{where} = {text!r}: expected {_word(hint)}") from None
    return text


def _word(hint: type) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[hint]
