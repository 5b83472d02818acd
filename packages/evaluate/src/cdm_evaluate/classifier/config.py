"""Settings of the classifier, and presets. No JAX in here: the command line lists them."""

from dataclasses import dataclass

from cdm.config import unknown


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """The network (cdm.nn.classifier) and its training: AdamW, one cycle of the learning rate."""

    channels: tuple[int, ...] = (16, 64, 128)  # the last is the number of features
    blocks: int = 1  # residual blocks of each level
    epochs: int = 3
    batch_size: int = 64
    learning_rate: float = 4e-3  # the peak of the cycle
    weight_decay: float = 1e-2
    shift: int = 2  # each image is moved by up to so many pixels, edges repeated
    flip: bool = False  # mirror left-right at random; not for glyphs, whose mirror is another sign
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or self.shift < 0:
            raise ValueError(
                f"classifier epochs {self.epochs} and batch size {self.batch_size} must be at "
                f"least 1, and shift {self.shift} at least 0"
            )


def preset(name: str) -> ClassifierConfig:
    """The preset of this name; ValueError lists the known ones."""
    if name not in PRESETS:
        raise ValueError(unknown("classifier preset", name, PRESETS))
    return PRESETS[name]


def preset_for(source_kind: str) -> str:
    """The preset that suits a data set's source (`dataset_info.json`, source.kind)."""
    return "glyphs" if source_kind == "glyphs" else "photographs"


PRESETS: dict[str, ClassifierConfig] = {
    "glyphs": ClassifierConfig(),
    "photographs": ClassifierConfig(channels=(32, 64, 128), epochs=15, batch_size=128, shift=4),
}
