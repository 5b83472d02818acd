"""One U-Net for every stage: the settings choose between the paper's families, not the classes.

The DDPM / Improved-DDPM-like networks of 32x32 and 64x64 and the SR3-like ones of 128x128 and
256x256 differ in how they resample, embed and attend (paper, Section 2.3, Fig. 3, Appendix B).
"""

import itertools

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from cdm.config import ModelConfig
from cdm.images import upsample
from cdm.nn.functional import Network, functional
from cdm.nn.layers import (
    Attention,
    Downsample,
    EmbeddingMLP,
    GroupNorm,
    ResBlock,
    Upsample,
    conv3,
    zeros,
)

Images = Float[Array, "b h w c"]


def make_unet(config: ModelConfig, *, outputs: int, level_input: bool) -> Network:
    """The U-Net of a stage as two pure functions (see `UNet.__call__` for those of `apply`).

    Args:
        config: its settings.
        outputs: channels of the result: 3, or 6 with a learned variance.
        level_input: whether it takes the noise level s of its low-res input.

    Raises:
        ValueError: settings that make no network.
    """
    check_model(config)
    return functional(lambda rngs: UNet(config, outputs, level_input, rngs))


def check_model(config: ModelConfig) -> None:
    """Refuses settings that make no network, naming the setting."""
    halvings = len(config.channel_multipliers) - 1
    if halvings < 0 or config.resolution % 2**halvings:
        raise ValueError(
            f"model.resolution {config.resolution} cannot be halved {halvings} times, as the "
            f"{halvings + 1} channel_multipliers ask"
        )
    sizes = [config.resolution // 2**i for i in range(halvings + 1)]
    for size in config.attention_resolutions:
        if size not in sizes:
            raise ValueError(
                f"model.attention_resolutions has {size}, but the feature maps are of "
                f"{', '.join(map(str, sizes))} pixels"
            )
    for multiplier in config.channel_multipliers:
        channels = config.channels * multiplier
        if channels % _heads(config, channels):
            raise ValueError(
                f"{channels} channels cannot be split into {_heads(config, channels)} heads"
            )
    if config.low_res is not None and not 0 < config.low_res < config.resolution:
        raise ValueError(
            f"model.low_res {config.low_res} must be smaller than resolution {config.resolution}"
        )


def _heads(config: ModelConfig, channels: int) -> int:
    if config.head_channels is not None:
        return max(1, channels // config.head_channels)
    return config.num_heads


class Block(nnx.Module):
    """A residual block, with attention behind it where the feature map's size asks for it."""

    def __init__(self, res: ResBlock, attention: Attention | None):
        self.res = res
        self.attention = attention

    def __call__(self, h: Images, emb: Float[Array, "b e"], key: jax.Array | None) -> Images:
        h = self.res(h, emb, key)
        return h if self.attention is None else self.attention(h)


class UNet(nnx.Module):
    """Downwards, middle, upwards, with concatenated skips (Ronneberger et al. 2015; DDPM)."""

    def __init__(self, config: ModelConfig, outputs: int, level_input: bool, rngs: nnx.Rngs):
        self.config = config
        dtype = jnp.dtype(config.dtype)
        ch = config.channels

        def block(inputs: int, channels: int, attend: bool, resample: str | None = None) -> Block:
            res = ResBlock(
                inputs,
                channels,
                4 * ch,
                scale_shift=config.embedding == "scale_shift",
                norm_groups=config.norm_groups,
                dropout_rate=config.dropout,
                skip_rescale=config.skip_rescale,
                dtype=dtype,
                rngs=rngs,
                resample=resample,
            )
            if not attend:
                return Block(res, None)
            heads = _heads(config, channels)
            attention = Attention(
                channels,
                heads,
                norm_groups=config.norm_groups,
                skip_rescale=config.skip_rescale,
                dtype=dtype,
                rngs=rngs,
            )
            return Block(res, attention)

        def change(channels: int, direction: str) -> nnx.Module:
            if config.resample == "resblock":
                return block(channels, channels, False, direction)
            kind = Downsample if direction == "down" else Upsample
            return kind(channels, dtype, rngs)

        self.time = EmbeddingMLP(ch, rngs)
        self.level = EmbeddingMLP(ch, rngs) if level_input else None
        self.classes = (
            nnx.Embed(
                config.num_classes,
                4 * ch,
                embedding_init=nnx.initializers.normal(1.0),
                rngs=rngs,
            )
            if config.num_classes is not None
            else None
        )
        self.first = conv3(3 if config.low_res is None else 6, ch, dtype, rngs)

        down: list[nnx.Module] = []
        widths = [ch]
        for i, multiplier in enumerate(config.channel_multipliers):
            attend = config.resolution // 2**i in config.attention_resolutions
            for _ in range(config.num_res_blocks):
                down.append(block(widths[-1], ch * multiplier, attend))
                widths.append(ch * multiplier)
            if i < len(config.channel_multipliers) - 1:
                down.append(change(widths[-1], "down"))
                widths.append(widths[-1])
        self.down = nnx.List(down)

        width = widths[-1]
        self.middle = nnx.List([block(width, width, True), block(width, width, False)])

        up: list[nnx.Module] = []
        for i, multiplier in reversed(list(enumerate(config.channel_multipliers))):
            attend = config.resolution // 2**i in config.attention_resolutions
            for _ in range(config.num_res_blocks + 1):
                up.append(block(width + widths.pop(), ch * multiplier, attend))
                width = ch * multiplier
            if i > 0:
                up.append(change(width, "up"))
        self.up = nnx.List(up)
        self.norm = GroupNorm(width, config.norm_groups)
        self.last = conv3(width, outputs, jnp.dtype(jnp.float32), rngs, init=zeros)

    def __call__(
        self,
        x_t: Images,
        time: Float[Array, " b"],
        label: Int[Array, " b"] | None = None,
        low_res: Float[Array, "b l l c"] | None = None,
        level: Float[Array, " b"] | None = None,
        dropout_key: jax.Array | None = None,
    ) -> Images:
        """The raw prediction, float32 [b, h, w, outputs].

        Args:
            x_t: noisy images. time: the number to embed for the step.
            label: classes; ignored by an unconditional network.
            low_res: the (corrupted) low-res input at its own resolution; upsampled here.
            level: the number to embed for the noise level s of `low_res`.
            dropout_key: draws dropout's masks; None for sampling.
        """
        dtype = jnp.dtype(self.config.dtype)
        emb = self.time(time)
        if self.level is not None:
            assert level is not None
            emb = emb + self.level(level)
        if self.classes is not None:
            assert label is not None
            emb = emb + self.classes(label)
        emb = emb.astype(dtype)

        if low_res is not None:
            z = upsample(low_res, self.config.resolution, self.config.upsample)
            x_t = jnp.concatenate([x_t, z], axis=-1)

        numbers = itertools.count()

        def run(module: nnx.Module, h: Images) -> Images:
            if not isinstance(module, Block):
                return module(h)
            number = next(numbers)
            key = None if dropout_key is None else jax.random.fold_in(dropout_key, number)
            return module(h, emb, key)

        h = self.first(x_t.astype(dtype))
        skips = [h]
        for module in self.down:
            h = run(module, h)
            skips.append(h)
        for module in self.middle:
            h = run(module, h)
        for module in self.up:
            resampling = not isinstance(module, Block) or module.res.resample is not None
            h = run(module, h if resampling else jnp.concatenate([h, skips.pop()], axis=-1))
        return self.last(jax.nn.silu(self.norm(h)).astype(jnp.float32))
