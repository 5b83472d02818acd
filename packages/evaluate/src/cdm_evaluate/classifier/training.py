"""Training the classifier on a prepared data set: a minute for the demo's glyphs on two cores."""

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cdm.data.batches import batches
from cdm.data.reader import Split
from cdm.images import from_uint8
from cdm.mesh import compiler_options
from cdm.nn.classifier import classifier
from cdm.nn.functional import Network, Params
from cdm_evaluate.classifier.config import ClassifierConfig

# Of the steps rise to the peak learning rate; the rest fall to zero.
_RISE = 0.2
_ACCURACY_BATCH = 250


def network(config: ClassifierConfig, num_classes: int) -> Network:
    """The network that these settings describe."""
    return classifier(channels=config.channels, blocks=config.blocks, num_classes=num_classes)


def train_classifier(
    config: ClassifierConfig,
    train: Split,
    validation: Split,
    resolution: int,
    say: Callable[[str], None],
) -> tuple[Params, float]:
    """Trains on one split and returns (parameters, accuracy 0…1 on the other).

    What it does is a function of the settings and the data. `say` gets a line after every epoch.

    Raises:
        ValueError: the data have one class only, or the loss became NaN or infinite.
    """
    num_classes = train.info.num_classes
    if num_classes < 2:
        raise ValueError(
            f"the data set '{train.info.name}' has no classes; the classifier whose features and "
            "probabilities the figures are computed from needs at least 2"
        )
    net = network(config, num_classes)
    steps_per_epoch = max(1, len(train) // config.batch_size)
    optimizer = optax.adamw(
        optax.cosine_onecycle_schedule(
            steps_per_epoch * config.epochs, config.learning_rate, pct_start=_RISE
        ),
        weight_decay=config.weight_decay,
    )
    params_key, augment_key = jax.random.split(jax.random.key(config.seed))
    params = jax.jit(net.init)(params_key)
    state = optimizer.init(params)
    step = _step(config, net, optimizer)

    accuracy = 0.0
    with closing(
        batches(train, resolution=resolution, batch_size=config.batch_size, seed=config.seed)
    ) as stream:
        for epoch in range(config.epochs):
            start = time.monotonic()
            for index in range(steps_per_epoch):
                batch = next(stream)
                key = jax.random.fold_in(augment_key, epoch * steps_per_epoch + index)
                params, state, loss = step(params, state, batch["image"], batch["label"], key)
            if not np.isfinite(loss):
                raise ValueError(
                    f"the classifier's loss became {float(loss)} in epoch {epoch + 1}; "
                    "try a smaller learning rate"
                )
            accuracy = validation_accuracy(net, params, validation, resolution)
            say(
                f"classifier {resolution}x{resolution}: epoch {epoch + 1} of {config.epochs}, "
                f"loss {float(loss):.4f}, validation accuracy {accuracy:.2%}, "
                f"{time.monotonic() - start:.0f} s"
            )
    return params, accuracy


def validation_accuracy(net: Network, params: Params, split: Split, resolution: int) -> float:
    """The fraction of the split's images that are classified right, without augmentation."""
    right = 0
    predict = jax.jit(lambda params, images: net.apply(params, from_uint8(images))[1].argmax(-1))
    for start in range(0, len(split), _ACCURACY_BATCH):
        rows = np.arange(start, min(start + _ACCURACY_BATCH, len(split)))
        images, labels = split.read(rows, resolution)
        right += int((np.asarray(predict(params, images)) == labels).sum())
    return right / len(split)


def augmented(images: jax.Array, key: jax.Array, config: ClassifierConfig) -> jax.Array:
    """Each image [b, h, w, c] shifted, and mirrored if the settings say so, by its own draw."""
    b, h, w, c = images.shape
    shift_key, flip_key = jax.random.split(key)
    pad = config.shift
    padded = jnp.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="edge")
    corners = jax.random.randint(shift_key, (b, 2), 0, 2 * pad + 1)
    images = jax.vmap(
        lambda image, corner: jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), (h, w, c))
    )(padded, corners)
    if config.flip:
        mirrored = jax.random.bernoulli(flip_key, 0.5, (b, 1, 1, 1))
        images = jnp.where(mirrored, images[:, :, ::-1], images)
    return images


def _step(config: ClassifierConfig, net: Network, optimizer: optax.GradientTransformation) -> Any:
    """One compiled step: (params, state, uint8 images, labels, key) -> (params, state, loss)."""

    def loss_of(params: Params, images: jax.Array, labels: jax.Array) -> jax.Array:
        _, logits = net.apply(params, images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def step(params: Params, state: Any, images: jax.Array, labels: jax.Array, key: jax.Array):  # type: ignore[no-untyped-def]
        images = augmented(from_uint8(images), key, config)
        loss, gradients = jax.value_and_grad(loss_of)(params, images, labels)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, loss

    return jax.jit(step, donate_argnums=(0, 1), compiler_options=compiler_options())
