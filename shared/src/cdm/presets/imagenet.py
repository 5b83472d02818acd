"""The class-conditional ImageNet models: Appendix B, and the smaller ones of Tables 3 and 4."""

from cdm.presets.table import Augmentation, Cascade, Heading, logistics, ours, paper, read

_NOT_OURS = "(the paper's figure, not measured by us)"

# Unformatted, because the tables are to be read across.
# fmt: off
PRESETS = read(
    {
        "imagenet32_base": Heading(
            table="Appendix B, 32×32 base model",
            expected="FID 1.11 against train, 1.99 against validation, IS 26.01 ± 0.59 "
            f"{_NOT_OURS}; without flips its best FID was 1.25, at 300k steps",
            hardware="256 TPU-v3 cores",
        ),
        "imagenet32_64_sr": Heading(
            table="Appendix B, 32×32 → 64×64 super-resolution model",
            expected="in the cascade imagenet64: FID 1.48 against train, 2.48 against validation, "
            f"IS 67.95 ± 1.97 {_NOT_OURS}",
            hardware="256 TPU-v3 cores (remembered, not verified)",
        ),
        "imagenet64_128_sr": Heading(
            table="Appendix B, 64×64 → 128×128 super-resolution model",
            expected="in the cascade imagenet128: FID 3.52 against train, 3.76 against validation, "
            f"IS 128.80 ± 2.51 {_NOT_OURS}",
            hardware="64 TPU-v3 cores (remembered, not verified)",
        ),
        "imagenet64_256_sr": Heading(
            table="Appendix B, 64×64 → 256×256 super-resolution model",
            expected="in the cascade imagenet256: FID 4.88 against train, 4.63 against validation, "
            f"IS 158.71 ± 2.26 {_NOT_OURS}",
            hardware="64 TPU-v3 cores (remembered, not verified)",
        ),
    },
    (
        #                                  32 base       32→64         64→128           64→256
        paper("model.resolution",          32,           64,           128,          256),
        paper("model.low_res",             None,         32,           64,           64),
        paper("model.num_classes",         1000,         1000,         1000,         1000),
        paper("model.channels",            256,          256,          128,          128),
        paper("model.channel_multipliers", (1,2,3,4),    (1,2,3,4),    (1,2,4,8,8),  (1,2,4,4,8,8)),
        paper("model.num_res_blocks",      6,            5,            3,            3),
        paper("model.attention_resolutions", (8,16),     (8,16),       (16,),        (16,)),
        paper("model.num_heads",           4,            4,            1,            1),
        paper("model.dropout",             0.1,          0.1,          0.0,          0.0),
        ours("model.resample",             "conv",       "conv",       "resblock",   "resblock",
             why="not stated; strided convolutions as in Improved DDPM, which the 32 and 64 models "
             "resemble; BigGAN blocks as in SR3, which the 128 and 256 models resemble and whose "
             "published parameter count for 64 → 256 fits them better"),
        ours("model.embedding", "scale_shift", "scale_shift", "scale_shift", "scale_shift",
             why="the paper adds embeddings into intermediate layers without saying how; scale and "
             "shift after the normalization, as in Improved DDPM"),
        ours("model.norm_groups",          32,           32,           32,           32,
             why="not stated; as in DDPM, Improved DDPM and their kin"),
        ours("model.skip_rescale",         False,        False,        False,        False,
             why="not stated; SR3 rescales by 1/sqrt(2), DDPM and Improved DDPM do not"),
        ours("model.upsample",             ...,          "bilinear",   "bicubic",    "bicubic",
             why="the paper says bilinear or bicubic without saying which model uses which; "
             "bilinear as in Improved DDPM, bicubic as in SR3"),
        ours("model.dtype",                "float32",    "float32",    "float32",    "float32",
             why="not stated; the exact choice, bfloat16 is the faster one"),

        paper("diffusion.schedule",        "cosine",     "cosine",     ...,          ...),
        ours("diffusion.schedule",         ...,          ...,          "linear",     "linear",
             why="remembered, not verified; linear as in WaveGrad, whose endpoints follow"),
        paper("diffusion.timesteps",       4000,         4000,         2000,         2000),
        ours("diffusion.beta_start",       ...,          ...,          1e-6,         1e-6,
             why="endpoints not stated; WaveGrad's schedule, as in re-implementations of SR3"),
        ours("diffusion.beta_end",         ...,          ...,          1e-2,         1e-2,
             why="endpoints not stated; WaveGrad's schedule, as in re-implementations of SR3"),
        paper("diffusion.noise_conditioning", "timestep", "timestep",  "alpha_bar",  "alpha_bar"),
        paper("diffusion.prediction",      "eps",        "eps",        "eps",        "eps"),
        paper("diffusion.variance",        "learned",    "learned",    ...,          ...),
        ours("diffusion.variance",         ...,          ...,          "fixed_large", "fixed_large",
             why="stated to be fixed, not to which value; beta_t as in SR3"),
        paper("diffusion.loss",            "hybrid",     "hybrid",     ...,          ...),
        ours("diffusion.loss",             ...,          ...,          "simple",     "simple",
             why="remembered, not verified; a fixed variance leaves nothing else to learn"),
        # None: all 4000 of them.
        paper("diffusion.sampling_steps",  None,         None,         100,          100),

        paper("augment.conditioning",      "none",       "gaussian",   "blur",       "blur"),
        # The process that makes z: that of the stage before. Gaussian augmentation uses it.
        paper("augment.schedule",          ...,          "cosine",     "cosine",     "cosine"),
        paper("augment.timesteps",         ...,          4000,         4000,         4000),
        paper("augment.blur_sigma",        ...,          ...,          ...,          (0.4,0.6)),
        ours("augment.blur_sigma",         ...,          ...,          (0.4,0.6),    ...,
             why="searched for, not stated; the range that was best for 64 → 256"),
        paper("augment.blur_probability",  ...,          ...,          0.5,          0.5),
        paper("augment.flip",              True,         ...,          ...,          True),
        ours("augment.flip",               ...,          True,         True,         ...,
             why="stated for the 32 base and the 256 model only, where it helps a little"),

        paper("optim.learning_rate",       1e-4,         1e-4,         1e-4,         1e-4),
        ours("optim.warmup_steps",         5_000,        5_000,        10_000,       10_000,
             why="not stated; 5k as in DDPM for the 32 and 64 models, 10k as in SR3 for the rest"),
        ours("optim.beta1",                0.9,          0.9,          0.9,          0.9,
             why="stated: Adam; not its constants, so Adam's defaults"),
        ours("optim.beta2",                0.999,        0.999,        0.999,        0.999,
             why="stated: Adam; not its constants, so Adam's defaults"),
        ours("optim.epsilon",              1e-8,         1e-8,         1e-8,         1e-8,
             why="stated: Adam; not its constants, so Adam's defaults"),
        ours("optim.grad_clip",            1.0,          1.0,          1.0,          1.0,
             why="not stated; the global norm at which DDPM clips"),
        paper("optim.ema_decay",           0.9999,       0.9999,       0.9999,       0.9999),
        ours("optim.ema_startup",          True,         True,         True,         True,
             why="not stated; lets early checkpoints be looked at and is over after 90k steps"),

        paper("train.batch_size",          2048,         2048,         1024,         1024),
        paper("train.steps",               700_000,      400_000,      500_000,      500_000),
        logistics("train.log_every",       100,          100,          100,          100),
        logistics("train.checkpoint_every", 5_000,       5_000,        5_000,        5_000),
        # The paper picks the checkpoint by FID, so some must remain to pick from.
        logistics("train.keep_every",      100_000,      100_000,      100_000,      100_000),
        logistics("train.preview_every",   10_000,       10_000,       10_000,       10_000),
    ),
)

_HALF_32 = "not stated; a small model: half the width and half the depth of imagenet32_base"
_HALF_64 = "not stated; a small model: half the width, about half the depth of imagenet32_64_sr"
_IMPROVED = "not stated; as in Improved DDPM's 64×64 model, which the paper re-implements"
_AS_LARGE = "not stated; as in the 32×32 and 64×64 models of Appendix B"

ABLATION_PRESETS = read(
    {
        "imagenet64_base": Heading(
            table="Table 3, the 64×64 model without a cascade (settings mostly not stated)",
            expected=f"FID 2.35 against train {_NOT_OURS}, after noising samples to t = 2000 and "
            "denoising them once more; Improved DDPM published 2.92",
            hardware="not stated",
        ),
        "imagenet16_base": Heading(
            table="Table 4, small models, 16×16 base (settings not stated)",
            expected="none published: only the cascade imagenet16_64 was scored",
            hardware="not stated",
        ),
        "imagenet16_64_sr": Heading(
            table="Table 4, small models, 16×16 → 64×64 (settings not stated)",
            expected="in the cascade imagenet16_64: FID against train 6.02 at s = 0, 3.41 at "
            f"s = 101, 2.13 at s = 1001 {_NOT_OURS}",
            hardware="not stated",
        ),
    },
    (
        #                                  64 base       16 base        16→64
        paper("model.resolution",          64,           16,           64),
        paper("model.low_res",             None,         None,         16),
        paper("model.num_classes",         1000,         1000,         1000),
        ours("model.channels",             192,          ...,          ..., why=_IMPROVED),
        ours("model.channels",             ...,          128,          ..., why=_HALF_32),
        ours("model.channels",             ...,          ...,          128, why=_HALF_64),
        ours("model.channel_multipliers",  (1,2,3,4),    ...,          ..., why=_IMPROVED),
        ours("model.channel_multipliers",  ...,          (1,2,3),      ...,
             why="not stated; imagenet32_base's, as far down as its smallest map of 4×4"),
        ours("model.channel_multipliers",  ...,          ...,          (1,2,3,4), why=_AS_LARGE),
        ours("model.num_res_blocks",       3,            ...,          ..., why=_IMPROVED),
        ours("model.num_res_blocks",       ...,          3,            ..., why=_HALF_32),
        ours("model.num_res_blocks",       ...,          ...,          3, why=_HALF_64),
        ours("model.attention_resolutions", (8,16),      ...,          ..., why=_IMPROVED),
        ours("model.attention_resolutions", ...,         (8,16),       (8,16), why=_AS_LARGE),
        ours("model.num_heads",            4,            ...,          ..., why=_IMPROVED),
        ours("model.num_heads",            ...,          4,            4, why=_AS_LARGE),
        ours("model.dropout",              0.1,          ...,          ...,
             why="stated: dropout was added, not how much; 0.1 as in Appendix B's models"),
        ours("model.dropout",              ...,          0.1,          0.1, why=_AS_LARGE),
        ours("model.resample",             "conv",       ...,          ..., why=_IMPROVED),
        ours("model.resample",             ...,          "conv",       "conv", why=_AS_LARGE),
        ours("model.embedding",            "scale_shift", ...,         ..., why=_IMPROVED),
        ours("model.embedding",            ...,          "scale_shift", "scale_shift",
             why=_AS_LARGE),
        ours("model.norm_groups",          32,           ...,          ..., why=_IMPROVED),
        ours("model.norm_groups",          ...,          32,           32, why=_AS_LARGE),
        ours("model.skip_rescale",         False,        ...,          ..., why=_IMPROVED),
        ours("model.skip_rescale",         ...,          False,        False, why=_AS_LARGE),
        ours("model.upsample",             ...,          ...,          "bilinear", why=_AS_LARGE),
        ours("model.dtype",                "float32",    "float32",    "float32",
             why="not stated; the exact choice, bfloat16 is the faster one"),

        ours("diffusion.schedule",         "cosine",     ...,          ..., why=_IMPROVED),
        ours("diffusion.schedule",         ...,          "cosine",     "cosine", why=_AS_LARGE),
        paper("diffusion.timesteps",       4000,         ...,          ...),
        ours("diffusion.timesteps",        ...,          4000,         4000, why=_AS_LARGE),
        ours("diffusion.noise_conditioning", "timestep", ...,          ..., why=_IMPROVED),
        ours("diffusion.noise_conditioning", ...,        "timestep",   "timestep", why=_AS_LARGE),
        paper("diffusion.prediction",      "eps",        "eps",        "eps"),
        ours("diffusion.variance",         "learned",    ...,          ..., why=_IMPROVED),
        ours("diffusion.variance",         ...,          "learned",    "learned", why=_AS_LARGE),
        ours("diffusion.loss",             "hybrid",     ...,          ..., why=_IMPROVED),
        ours("diffusion.loss",             ...,          "hybrid",     "hybrid", why=_AS_LARGE),
        # None: all 4000 of them.
        paper("diffusion.sampling_steps",  None,         ...,          ...),
        ours("diffusion.sampling_steps",   ...,          None,         None, why=_AS_LARGE),

        paper("augment.conditioning",      "none",       "none",       "gaussian"),
        ours("augment.schedule",           ...,          ...,          "cosine",
             why="the process of imagenet16_base, which makes z (Algorithm 1)"),
        ours("augment.timesteps",          ...,          ...,          4000,
             why="the process of imagenet16_base, which makes z (Algorithm 1)"),
        ours("augment.flip",               True,         True,         True,
             why="not stated; as in the 32×32 base model of Appendix B, where it improves the FID"),

        ours("optim.learning_rate",        3e-4,         ...,          ..., why=_IMPROVED),
        ours("optim.learning_rate",        ...,          1e-4,         1e-4, why=_AS_LARGE),
        ours("optim.warmup_steps",         5_000,        5_000,        5_000,
             why="not stated; 5k as in DDPM"),
        ours("optim.beta1",                0.9,          0.9,          0.9,
             why="not stated; Adam's default"),
        ours("optim.beta2",                0.999,        0.999,        0.999,
             why="not stated; Adam's default"),
        ours("optim.epsilon",              1e-8,         1e-8,         1e-8,
             why="not stated; Adam's default"),
        ours("optim.grad_clip",            1.0,          1.0,          1.0,
             why="not stated; the global norm at which DDPM clips"),
        ours("optim.ema_decay",            0.9999,       0.9999,       0.9999, why=_AS_LARGE),
        ours("optim.ema_startup",          True,         True,         True,
             why="not stated; lets early checkpoints be looked at and is over after 90k steps"),

        ours("train.batch_size",           2048,         ...,          ..., why=_IMPROVED),
        ours("train.batch_size",           ...,          2048,         2048, why=_AS_LARGE),
        ours("train.steps",                400_000,      ...,          ...,
             why="stated: longer than Improved DDPM, which took 250k steps; not how long"),
        ours("train.steps",                ...,          400_000,      400_000,
             why="not stated; as long as the 32×32 → 64×64 model"),
        logistics("train.log_every",       100,          100,          100),
        logistics("train.checkpoint_every", 5_000,       5_000,        5_000),
        logistics("train.keep_every",      100_000,      100_000,      100_000),
        logistics("train.preview_every",   10_000,       10_000,       10_000),
    ),
)
# fmt: on

_BEST_S = (
    "best FID over a grid of s; s = 501 truncated is the row whose FID we remember as Table 1's. "
    "Truncated at 751 and non-truncated at 751 or 1251 score the same"
)

CASCADES = {
    "imagenet64": Cascade(
        stages=("imagenet32_base", "imagenet32_64_sr"),
        augmentation=(Augmentation(variant="truncated", s=501),),
        table="Tables 1 and 4",
        expected=f"FID 1.48 against train, 2.48 against validation, IS 67.95 ± 1.97 {_NOT_OURS}; "
        "FID 1.71 against train without augmentation",
        why=_BEST_S,
    ),
    "imagenet128": Cascade(
        stages=("imagenet32_base", "imagenet32_64_sr", "imagenet64_128_sr"),
        augmentation=(Augmentation(variant="truncated", s=501), Augmentation(variant="none")),
        table="Tables 1 and 2",
        expected="FID 3.52 against train, 3.76 against validation, IS 128.80 ± 2.51, "
        f"CAS top-1 59.84 %, top-5 81.79 % {_NOT_OURS}",
        why=f"{_BEST_S}. Blur is for training only",
    ),
    "imagenet256": Cascade(
        stages=("imagenet32_base", "imagenet32_64_sr", "imagenet64_256_sr"),
        augmentation=(Augmentation(variant="truncated", s=501), Augmentation(variant="none")),
        table="Tables 1, 2 and 5",
        expected="FID 4.88 against train, 4.63 against validation, IS 158.71 ± 2.26, "
        f"CAS top-1 63.02 %, top-5 84.06 % {_NOT_OURS}",
        why=f"{_BEST_S}. Blur is for training only",
    ),
    "imagenet16_64": Cascade(
        stages=("imagenet16_base", "imagenet16_64_sr"),
        augmentation=(Augmentation(variant="non-truncated", s=1001),),
        table="Table 4, small models",
        expected=f"FID against train 2.13; 3.41 at s = 101, 6.02 at s = 0 {_NOT_OURS}",
        why="the best s of the ablation, whose variant is stated",
    ),
}
