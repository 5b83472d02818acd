"""The blocks of the U-Net. Images are NHWC; parameters float32; norms and softmax in float32."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

Images = Float[Array, "b h w c"]
Embedding = Float[Array, "b e"]

INVERSE_SQRT_2 = 1.0 / math.sqrt(2.0)

# DDPM's initialisation; layers that end a residual branch start at zero, so that every block
# starts as the identity.
weights = nnx.initializers.variance_scaling(1.0, "fan_avg", "uniform")
zeros = nnx.initializers.zeros_init()


def sinusoids(time: Float[Array, " b"], dim: int) -> Embedding:
    """[cos, sin] of time at dim / 2 frequencies from 1 down to 1/10000 (Improved DDPM's order)."""
    half = dim // 2
    frequencies = jnp.exp(-math.log(10_000.0) * jnp.arange(half, dtype=jnp.float32) / half)
    angles = time.astype(jnp.float32)[:, None] * frequencies[None, :]
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


def dropout(key: jax.Array | None, x: Images, rate: float) -> Images:
    """Inverted dropout; without a key (when sampling) the identity."""
    if key is None or rate == 0.0:
        return x
    keep = jax.random.bernoulli(key, 1.0 - rate, x.shape)
    return jnp.where(keep, x / (1.0 - rate), jnp.zeros((), x.dtype))


def conv3(
    inputs: int,
    outputs: int,
    dtype: jnp.dtype,
    rngs: nnx.Rngs,
    *,
    stride: int = 1,
    init: Any = weights,
) -> "Conv":
    """A 3x3 convolution."""
    return Conv(inputs, outputs, 3, dtype, rngs, stride=stride, init=init)


def sum_pixels(x: Images) -> Float[Array, "b c"]:
    """Sums over the pixels of each channel of each image.

    Written as a product with a vector of ones: on CPUs XLA's reductions over middle axes take
    several times as long.
    """
    b, h, w, c = x.shape
    ones = jnp.ones((b, 1, h * w), x.dtype)
    return jnp.matmul(ones, x.reshape(b, h * w, c), precision="highest")[:, 0, :]


@jax.custom_vjp
def affine(x: Images, factor: Images, offset: Images) -> Images:
    """x factor + offset, with a factor and an offset [b, 1, 1, c] for each channel of each image.

    The gradient of both is a sum over pixels, which is why it is spelled out: see `sum_pixels`.
    """
    return x * factor + offset


def _affine_forward(
    x: Images, factor: Images, offset: Images
) -> tuple[Images, tuple[Images, Images]]:
    return affine(x, factor, offset), (x, factor)


def _affine_backward(
    saved: tuple[Images, Images], gradient: Images
) -> tuple[Images, Images, Images]:
    x, factor = saved
    return (
        gradient * factor,
        sum_pixels(gradient * x)[:, None, None, :],
        sum_pixels(gradient)[:, None, None, :],
    )


affine.defvjp(_affine_forward, _affine_backward)


@jax.custom_vjp
def add_bias(x: Images, bias: Float[Array, " c"]) -> Images:
    """x + bias; its gradient is a sum over pixels too."""
    return x + bias[None, None, None, :]


add_bias.defvjp(
    lambda x, bias: (add_bias(x, bias), None),
    lambda _, gradient: (gradient, sum_pixels(gradient).sum(axis=0)),
)


class Conv(nnx.Module):
    """A convolution with one pixel of padding for 3x3 kernels, whatever the stride."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
        *,
        stride: int = 1,
        init: Any = weights,
    ):
        self.dtype, self.stride, self.padding = dtype, stride, size // 2
        self.kernel = nnx.Param(init(rngs.params(), (size, size, inputs, outputs), jnp.float32))
        self.bias = nnx.Param(jnp.zeros((outputs,), jnp.float32))

    def __call__(self, x: Images) -> Images:
        y = jax.lax.conv_general_dilated(
            x.astype(self.dtype),
            self.kernel[...].astype(self.dtype),
            (self.stride, self.stride),
            ((self.padding, self.padding),) * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return add_bias(y, self.bias[...].astype(self.dtype))


class GroupNorm(nnx.Module):
    """Group normalisation (Wu & He 2018), epsilon 1e-5, computed in float32.

    As many groups as asked for, or as many of them as divide the channels.
    """

    def __init__(self, channels: int, groups: int):
        self.groups = math.gcd(groups, channels)
        self.scale = nnx.Param(jnp.ones((channels,), jnp.float32))
        self.bias = nnx.Param(jnp.zeros((channels,), jnp.float32))

    def __call__(
        self, x: Images, scale: Images | None = None, shift: Images | None = None
    ) -> Images:
        """With `scale` and `shift` [b, 1, 1, c], norm(x) (1 + scale) + shift.

        Everything is folded into one multiplication and one addition for each channel of each
        image, so that a feature map is read twice and written once.
        """
        wide = x.astype(jnp.float32)
        # Sums over pixels first: they run along the channels, as the memory does.
        pixels = x.shape[1] * x.shape[2]
        mean = self._over_group(sum_pixels(wide) / pixels)
        square = self._over_group(sum_pixels(jnp.square(wide)) / pixels)
        inverse = jax.lax.rsqrt(jnp.maximum(square - jnp.square(mean), 0.0) + 1e-5)
        factor = inverse * self.scale[...][None, :]
        offset = self.bias[...][None, :] - mean * factor
        factor, offset = factor[:, None, None, :], offset[:, None, None, :]
        if scale is not None:
            factor, offset = factor * (1.0 + scale), offset * (1.0 + scale)
        if shift is not None:
            offset = offset + shift
        return affine(wide, factor, offset).astype(x.dtype)

    def _over_group(self, values: Float[Array, "b c"]) -> Float[Array, "b c"]:
        """The mean over each group, at each of its channels."""
        b, c = values.shape
        means = values.reshape(b, self.groups, -1).mean(axis=2, keepdims=True)
        return jnp.broadcast_to(means, (b, self.groups, c // self.groups)).reshape(b, c)


class EmbeddingMLP(nnx.Module):
    """A number (a time, a noise level) as a vector: sinusoids, Dense, Swish, Dense."""

    def __init__(self, channels: int, rngs: nnx.Rngs):
        self.channels = channels
        self.dense1 = nnx.Linear(channels, 4 * channels, kernel_init=weights, rngs=rngs)
        self.dense2 = nnx.Linear(4 * channels, 4 * channels, kernel_init=weights, rngs=rngs)

    def __call__(self, time: Float[Array, " b"]) -> Embedding:
        return self.dense2(jax.nn.silu(self.dense1(sinusoids(time, self.channels))))


def nearest_upsample(x: Images) -> Images:
    """Every pixel becomes a square of four."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def mean_pool(x: Images) -> Images:
    """Means over squares of four pixels."""
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))


class Downsample(nnx.Module):
    """DDPM's: a 3x3 convolution of stride 2."""

    def __init__(self, channels: int, dtype: jnp.dtype, rngs: nnx.Rngs):
        self.conv = conv3(channels, channels, dtype, rngs, stride=2)

    def __call__(self, x: Images) -> Images:
        return self.conv(x)


class Upsample(nnx.Module):
    """DDPM's: nearest neighbour, then a 3x3 convolution."""

    def __init__(self, channels: int, dtype: jnp.dtype, rngs: nnx.Rngs):
        self.conv = conv3(channels, channels, dtype, rngs)

    def __call__(self, x: Images) -> Images:
        return self.conv(nearest_upsample(x))


class ResBlock(nnx.Module):
    """GroupNorm, Swish, [resample,] Conv; GroupNorm, embedding, Swish, dropout, Conv; plus input.

    `resample` "up" or "down" makes it BigGAN's resampling block (Brock et al. 2018): both branches
    are resampled, before the first convolution.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedding: int,
        *,
        scale_shift: bool,
        norm_groups: int,
        dropout_rate: float,
        skip_rescale: bool,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
        resample: str | None = None,
    ):
        self.scale_shift = scale_shift
        self.dropout_rate = dropout_rate
        self.skip_rescale = skip_rescale
        self.resample = resample
        self.norm1 = GroupNorm(inputs, norm_groups)
        self.conv1 = conv3(inputs, outputs, dtype, rngs)
        width = 2 * outputs if scale_shift else outputs
        self.embed = nnx.Linear(embedding, width, kernel_init=weights, dtype=dtype, rngs=rngs)
        self.norm2 = GroupNorm(outputs, norm_groups)
        self.conv2 = conv3(outputs, outputs, dtype, rngs, init=zeros)
        self.shortcut = Conv(inputs, outputs, 1, dtype, rngs) if inputs != outputs else None

    def __call__(self, x: Images, emb: Embedding, key: jax.Array | None) -> Images:
        h = jax.nn.silu(self.norm1(x))
        if self.resample is not None:
            change = nearest_upsample if self.resample == "up" else mean_pool
            h, x = change(h), change(x)
        h = self.conv1(h)
        shift = self.embed(jax.nn.silu(emb))[:, None, None, :]
        if self.scale_shift:
            scale, shift = jnp.split(shift, 2, axis=-1)
            h = self.norm2(h, scale, shift)
        else:
            h = self.norm2(h + shift)
        h = self.conv2(dropout(key, jax.nn.silu(h), self.dropout_rate))
        if self.shortcut is not None:
            x = self.shortcut(x)
        return (x + h) * INVERSE_SQRT_2 if self.skip_rescale else x + h


class Attention(nnx.Module):
    """Multi-head self-attention over the pixels of a feature map, plus its input."""

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        norm_groups: int,
        skip_rescale: bool,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        self.heads = heads
        self.skip_rescale = skip_rescale
        self.norm = GroupNorm(channels, norm_groups)
        self.qkv = nnx.Linear(channels, 3 * channels, kernel_init=weights, dtype=dtype, rngs=rngs)
        self.out = nnx.Linear(channels, channels, kernel_init=zeros, dtype=dtype, rngs=rngs)

    def __call__(self, x: Images) -> Images:
        b, h, w, c = x.shape
        qkv = self.qkv(self.norm(x)).reshape(b, h * w, 3, self.heads, c // self.heads)
        q, k, v = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
        logits = jnp.einsum("bqhd,bkhd->bhqk", q, k, preferred_element_type=jnp.float32)
        attention = jax.nn.softmax(logits / math.sqrt(c // self.heads), axis=-1).astype(v.dtype)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", attention, v).reshape(b, h, w, c)
        out = x + self.out(mixed)
        return out * INVERSE_SQRT_2 if self.skip_rescale else out
