"""The unconditional LSUN models of Table 6, 64×64 → 128×128.

The paper says what they are, not how large or how long trained. Sizes follow a 128×128 LSUN Church
model that two of the authors published in code eight months later.
"""

from cdm.presets.table import Augmentation, Cascade, Heading, logistics, ours, paper, read

_LATER = "not stated; as in a 128×128 Church model of two of the authors, published later"
_FROM_64 = (
    "not stated; the later 128×128 Church model of two of the authors, from its 64×64 maps on"
)
_AS_IMAGENET = "not stated; as in the 32×32 and 64×64 ImageNet models, which use Gaussian noise too"
_FEEDER = "the process of the 64×64 base stage, which makes z (Algorithm 1)"

_EXPECTED = (
    "a non-zero s helps; the figures of Table 6 are not known to us. Against validation the FID is "
    "large for any model, because the validation sets hold 300 images"
)


def _heading(what: str) -> Heading:
    return Heading(
        table=f"Table 6, LSUN {what} (settings mostly not stated)",
        expected=_EXPECTED,
        hardware="not stated",
    )


# Unformatted, because the table is to be read across.
# fmt: off
PRESETS = read(
    {
        "lsun_bedroom64_base": _heading("bedroom, 64×64 base"),
        "lsun_church64_base": _heading("church, 64×64 base"),
        "lsun_bedroom64_128_sr": _heading("bedroom, 64×64 → 128×128"),
        "lsun_church64_128_sr": _heading("church, 64×64 → 128×128"),
    },
    (
        #                                  bedroom 64    church 64     bedroom 128   church 128
        paper("model.resolution",          64,           64,           128,          128),
        paper("model.low_res",             None,         None,         64,           64),
        paper("model.num_classes",         None,         None,         None,         None),
        # Both nets have 128, 256, 384 and 512 channels on their maps of 64, 32, 16 and 8.
        ours("model.channels",             128,          128,          ...,          ...,
             why=_FROM_64),
        ours("model.channels",             ...,          ...,          64,           64,
             why=_LATER),
        ours("model.channel_multipliers",  (1,2,3,4),    (1,2,3,4),    ...,          ...,
             why=_FROM_64),
        ours("model.channel_multipliers",  ...,          ...,          (1,2,4,6,8),  (1,2,4,6,8),
             why=_LATER),
        ours("model.num_res_blocks",       3,            3,            3,            3, why=_LATER),
        ours("model.attention_resolutions", (8,16,32),   (8,16,32),    (8,16,32),    (8,16,32),
             why=_LATER),
        ours("model.head_channels",        64,           64,           64,           64,
             why=_LATER),
        ours("model.dropout",              0.1,          0.1,          0.1,          0.1,
             why=_LATER),
        ours("model.resample",             "resblock",   "resblock",   "resblock",   "resblock",
             why=_LATER),
        ours("model.embedding", "scale_shift", "scale_shift", "scale_shift", "scale_shift",
             why=_LATER),
        ours("model.norm_groups",          32,           32,           32,           32,
             why=_AS_IMAGENET),
        ours("model.skip_rescale",         False,        False,        False,        False,
             why=_AS_IMAGENET),
        ours("model.upsample",             ...,          ...,          "bilinear",   "bilinear",
             why="the paper says bilinear or bicubic; bilinear as in our 32 → 64 model"),
        ours("model.dtype",                "float32",    "float32",    "float32",    "float32",
             why="not stated; the exact choice, bfloat16 is the faster one"),

        ours("diffusion.schedule",         "cosine",     "cosine",     "cosine",     "cosine",
             why=_AS_IMAGENET),
        ours("diffusion.timesteps",        4000,         4000,         4000,         4000,
             why=_AS_IMAGENET),
        ours("diffusion.noise_conditioning", "timestep", "timestep",   "timestep",   "timestep",
             why=_AS_IMAGENET),
        paper("diffusion.prediction",      "eps",        "eps",        "eps",        "eps"),
        ours("diffusion.variance",         "learned",    "learned",    "learned",    "learned",
             why=_AS_IMAGENET),
        ours("diffusion.loss",             "hybrid",     "hybrid",     "hybrid",     "hybrid",
             why=_AS_IMAGENET),
        # None: all 4000 of them.
        ours("diffusion.sampling_steps",   None,         None,         None,         None,
             why=_AS_IMAGENET),

        paper("augment.conditioning",      "none",       "none",       "gaussian",   "gaussian"),
        ours("augment.schedule",           ...,          ...,          "cosine",     "cosine",
             why=_FEEDER),
        ours("augment.timesteps",          ...,          ...,          4000,         4000,
             why=_FEEDER),
        ours("augment.flip",               True,         True,         True,         True,
             why=_LATER),

        ours("optim.learning_rate",        3e-4,         3e-4,         3e-4,         3e-4,
             why=_LATER),
        ours("optim.warmup_steps",         1_000,        1_000,        1_000,        1_000,
             why=_LATER),
        ours("optim.beta1",                0.9,          0.9,          0.9,          0.9,
             why="not stated; Adam's default"),
        ours("optim.beta2",                0.999,        0.999,        0.999,        0.999,
             why="not stated; Adam's default"),
        ours("optim.epsilon",              1e-8,         1e-8,         1e-8,         1e-8,
             why="not stated; Adam's default"),
        ours("optim.grad_clip",            1.0,          1.0,          1.0,          1.0,
             why=_LATER),
        ours("optim.ema_decay",            0.9999,       0.9999,       0.9999,       0.9999,
             why=_LATER),
        ours("optim.ema_startup",          True,         True,         True,         True,
             why="not stated; lets early checkpoints be looked at and is over after 90k steps"),

        ours("train.batch_size",           2048,         2048,         2048,         2048,
             why=_LATER),
        ours("train.steps",                300_000,      100_000,      300_000,      100_000,
             why="not stated; 200 passes over bedroom's 3.0 M images, 1600 over church's 126 k; "
             "pick the best checkpoint by FID"),
        logistics("train.log_every",       100,          100,          100,          100),
        logistics("train.checkpoint_every", 5_000,       5_000,        5_000,        5_000),
        logistics("train.keep_every",      50_000,       20_000,       50_000,       20_000),
        logistics("train.preview_every",   10_000,       10_000,       10_000,       10_000),
    ),
)
# fmt: on

_WHY_751 = (
    "non-truncated is stated, s is not; 751 is an optimum of the non-truncated variant on ImageNet "
    "at 32 → 64. Search it again once the models are trained"
)

CASCADES = {
    "lsun_bedroom128": Cascade(
        stages=("lsun_bedroom64_base", "lsun_bedroom64_128_sr"),
        augmentation=(Augmentation(variant="non-truncated", s=751),),
        table="Table 6, bedroom",
        expected=_EXPECTED,
        why=_WHY_751,
    ),
    "lsun_church128": Cascade(
        stages=("lsun_church64_base", "lsun_church64_128_sr"),
        augmentation=(Augmentation(variant="non-truncated", s=751),),
        table="Table 6, church",
        expected=_EXPECTED,
        why=_WHY_751,
    ),
}
