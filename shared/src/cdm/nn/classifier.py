"""A small convolutional classifier whose last hidden layer serves as image features.

Not a network of the paper: it stands in for the Inception network where a data set is small (the
demo, CIFAR-10), and is trained in a minute on a CPU. Normalisation is by groups, so that an image's
features do not depend on the images that share its batch.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cdm.nn.functional import Network, functional

GROUPS = 8
GROUP_NORM_EPSILON = 1e-5


def classifier(*, channels: tuple[int, ...], blocks: int, num_classes: int) -> Network:
    """A classifier as two pure functions.

    A strided stem halves the image; then each entry of `channels` is a level of `blocks` residual
    blocks, each level half as wide and high as the one before.

    `apply(params, images)` takes float images in [-1, 1] of shape [b, h, w, 3] and returns
    (features [b, channels[-1]], logits [b, num_classes]).

    Raises:
        ValueError: no channels, or channels that are not multiples of the 8 groups.
    """
    if not channels or any(c < GROUPS or c % GROUPS for c in channels):
        raise ValueError(
            f"classifier channels {channels}: expected one or more multiples of {GROUPS}, "
            "one for each level"
        )
    return functional(lambda rngs: Classifier(channels, blocks, num_classes, rngs))


class Classifier(nnx.Module):
    """Stem, levels of residual blocks, mean over the image, linear read-out."""

    def __init__(self, channels: tuple[int, ...], blocks: int, num_classes: int, rngs: nnx.Rngs):
        self.stem = nnx.Conv(3, channels[0], (4, 4), strides=(2, 2), rngs=rngs)
        self.blocks: nnx.List = nnx.List()
        width = channels[0]
        for level, wider in enumerate(channels):
            for block in range(blocks):
                stride = 2 if level > 0 and block == 0 else 1
                self.blocks.append(_Block(width, wider, stride, rngs))
                width = wider
        self.norm = nnx.GroupNorm(width, GROUPS, epsilon=GROUP_NORM_EPSILON, rngs=rngs)
        self.head = nnx.Linear(width, num_classes, rngs=rngs)

    def __call__(
        self, images: Float[Array, "b h w 3"]
    ) -> tuple[Float[Array, "b d"], Float[Array, "b k"]]:
        """Features and logits of images in [-1, 1]."""
        x = self.stem(images)
        for block in self.blocks:
            x = block(x)
        features = jnp.mean(jax.nn.relu(self.norm(x)), axis=(1, 2))
        return features, self.head(features)


class _Block(nnx.Module):
    """A pre-activation residual block of two convolutions, the first of which may halve."""

    def __init__(self, width: int, wider: int, stride: int, rngs: nnx.Rngs):
        strides = (stride, stride)
        self.norm1 = nnx.GroupNorm(width, GROUPS, epsilon=GROUP_NORM_EPSILON, rngs=rngs)
        self.conv1 = nnx.Conv(width, wider, (3, 3), strides=strides, use_bias=False, rngs=rngs)
        self.norm2 = nnx.GroupNorm(wider, GROUPS, epsilon=GROUP_NORM_EPSILON, rngs=rngs)
        self.conv2 = nnx.Conv(wider, wider, (3, 3), use_bias=False, rngs=rngs)
        self.shortcut = (
            None
            if width == wider and stride == 1
            else nnx.Conv(width, wider, (1, 1), strides=strides, use_bias=False, rngs=rngs)
        )

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c2"]:
        h = jax.nn.relu(self.norm1(x))
        shortcut = x if self.shortcut is None else self.shortcut(h)
        h = self.conv1(h)
        h = self.conv2(jax.nn.relu(self.norm2(h)))
        return shortcut + h
