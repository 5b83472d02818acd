"""Cascades that train on two CPU cores: the demo's (glyphs) and CIFAR-10's, both 16×16 → 32×32.

They are no models of the paper. They use its method with networks a thousand times smaller.
"""

from cdm.presets.table import Augmentation, Cascade, Heading, logistics, ours, read

_SIZE = "small enough to train on two CPU cores"
_SHORT = "the time that two CPU cores have for it"
_LINEAGE = "as in the 32×32 and 64×64 ImageNet models"
_DATA = "what the data set has"
_STEPS_1000 = "DDPM's; as fine as 50 sampling steps can use"
_FIXED = "a variance need not be learned in so short a training"
_FEEDER = "the process of the 16×16 base stage, which makes z (Algorithm 1)"
_FAST = "small networks bear a large learning rate, and there is little time"
_ADAM = "Adam's default"

# Unformatted, because the table is to be read across.
# fmt: off
PRESETS = read(
    {
        "demo16_base": Heading(
            table="none: the demo",
            expected="digits one can name, after 500 steps and more",
            hardware="2 CPU cores, 4 minutes",
        ),
        "demo16_32_sr": Heading(
            table="none: the demo",
            expected="the digits of its 16×16 input, but not yet all of its colours: 17/255 apart "
            "on average",
            hardware="2 CPU cores, 4 minutes",
        ),
        "cifar10_16_base": Heading(
            table="none: a short training on real images",
            expected="colours and coarse shapes; the Fréchet distance falls from checkpoint to "
            "checkpoint",
            hardware="2 CPU cores, 20 minutes",
        ),
        "cifar10_16_32_sr": Heading(
            table="none: a short training on real images",
            expected="the Fréchet distance falls from checkpoint to checkpoint",
            hardware="2 CPU cores, 20 minutes",
        ),
    },
    (
        #                                  demo 16       demo 16→32    cifar10 16    cifar10 16→32
        ours("model.resolution",           16,           32,           16,           32, why=_SIZE),
        ours("model.low_res",              None,         16,           None,         16, why=_SIZE),
        ours("model.num_classes",          10,           10,           10,           10, why=_DATA),
        ours("model.channels",             32,           16,           64,           32, why=_SIZE),
        ours("model.channel_multipliers",  (1,2,2),      (1,2,4),      (1,2,2),      (1,2,2),
             why=_SIZE),
        ours("model.num_res_blocks",       1,            1,            2,            2, why=_SIZE),
        ours("model.attention_resolutions", (4,),        (),           (8,),         (8,),
             why="where attention costs little"),
        ours("model.num_heads",            4,            4,            4,            4,
             why=_LINEAGE),
        ours("model.dropout",              0.0,          0.0,          0.0,          0.0,
             why="too few passes over the data to overfit"),
        ours("model.resample",             "conv",       "conv",       "conv",       "conv",
             why=_LINEAGE),
        ours("model.embedding", "scale_shift", "scale_shift", "scale_shift", "scale_shift",
             why=_LINEAGE),
        ours("model.norm_groups",          8,            4,            16,           8,
             why="four channels or more in a group: alone in its group a channel would lose its "
             "mean, and with it the colours"),
        ours("model.skip_rescale",         False,        False,        False,        False,
             why=_LINEAGE),
        ours("model.upsample",             ...,          "bilinear",   ...,          "bilinear",
             why=_LINEAGE),
        ours("model.dtype",                "float32",    "float32",    "float32",    "float32",
             why="bfloat16 is no faster on a CPU"),

        ours("diffusion.schedule",         "cosine",     "cosine",     "cosine",     "cosine",
             why=_LINEAGE),
        ours("diffusion.timesteps",        1000,         1000,         1000,         1000,
             why=_STEPS_1000),
        ours("diffusion.noise_conditioning", "timestep", "timestep",   "timestep",   "timestep",
             why=_LINEAGE),
        ours("diffusion.prediction",       "eps",        "v",          "eps",        "v",
             why="eps as in the paper; v for the short trainings of super-resolution, since the "
             "error of eps hardly rewards looking at z where x_t is noisy: after 500 steps on the "
             "demo's data a net that predicts eps still ignored it"),
        ours("diffusion.variance", "fixed_small", "fixed_small", "fixed_small", "fixed_small",
             why=f"{_FIXED}; the small one suits few sampling steps"),
        ours("diffusion.loss",             "simple",     "simple",     "simple",     "simple",
             why=_FIXED),
        ours("diffusion.sampling_steps",   50,           50,           50,           50,
             why="seconds and not minutes on a CPU"),

        ours("augment.conditioning",       "none",       "gaussian",   "none",       "gaussian",
             why="the paper's choice below 128×128"),
        ours("augment.schedule",           ...,          "cosine",     ...,          "cosine",
             why=_FEEDER),
        ours("augment.timesteps",          ...,          1000,         ...,          1000,
             why=_FEEDER),
        ours("augment.flip",               False,        False,        True,         True,
             why="glyphs must not be mirrored, photographs may be"),

        ours("optim.learning_rate",        2e-3,         2e-3,         1e-3,         1e-3,
             why=_FAST),
        ours("optim.warmup_steps",         100,          100,          100,          100,
             why=_FAST),
        ours("optim.beta1",                0.9,          0.9,          0.9,          0.9,
             why=_ADAM),
        ours("optim.beta2",                0.999,        0.999,        0.999,        0.999,
             why=_ADAM),
        ours("optim.epsilon",              1e-8,         1e-8,         1e-8,         1e-8,
             why=_ADAM),
        ours("optim.grad_clip",            1.0,          1.0,          1.0,          1.0,
             why="keeps the large learning rate stable"),
        ours("optim.ema_decay",            0.995,        0.995,        0.995,        0.995,
             why="averages over the last few hundred of about a thousand steps"),
        ours("optim.ema_startup",          True,         True,         True,         True,
             why="the first previews show something"),

        ours("train.batch_size",           64,           16,           64,           64,
             why=_SHORT),
        ours("train.steps",                800,          1_600,        1_000,        1_000,
             why=_SHORT),
        logistics("train.log_every",       20,           20,           20,           20),
        logistics("train.checkpoint_every", 250,         250,          250,          250),
        # So that the Fréchet distance can be compared between checkpoints.
        logistics("train.keep_every",      ...,          ...,          250,          250),
        logistics("train.preview_every",   250,          250,          250,          250),
    ),
)
# fmt: on

_WHY_S = (
    "non-truncated, which the paper recommends for practicality; noise as strong as at s = 501 of "
    "the paper's 4000 timesteps"
)

CASCADES = {
    "demo": Cascade(
        stages=("demo16_base", "demo16_32_sr"),
        augmentation=(Augmentation(variant="non-truncated", s=125),),
        table="none: the demo",
        expected="90 % of the digits are recognized as the class they were asked for (with "
        "truncated augmentation at s = 50, as ./run demo asks for)",
        why=_WHY_S,
    ),
    "cifar10": Cascade(
        stages=("cifar10_16_base", "cifar10_16_32_sr"),
        augmentation=(Augmentation(variant="non-truncated", s=125),),
        table="none: a short training on real images",
        expected="colours and coarse shapes; the Fréchet distance falls from checkpoint to "
        "checkpoint",
        why=_WHY_S,
    ),
}
