"""The state of training, its optimizer and one step of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from cdm.config import OptimConfig
from cdm.nn.functional import Params

Batch = dict[str, Any]
# loss(params, batch, key) -> (loss of each image [b], its place t / T in the process [b])
Loss = Callable[[Params, Batch, jax.Array], tuple[Float[Array, " b"], Float[Array, " b"]]]

# Streams of a seed. That of sampling, which previews use too, is `cdm.sampling.STREAM`.
INIT, TRAIN = range(2)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Everything that a step reads and writes.

    Attributes:
        step: int32, how many steps were taken.
        params: the parameters; ema: their exponential moving average, used for sampling.
        opt_state: that of `make_optimizer`.
    """

    step: Int[Array, ""]
    params: Params
    ema: Params
    opt_state: Any


def make_optimizer(config: OptimConfig) -> optax.GradientTransformation:
    """Adam with linear warm-up, after clipping the gradient's global norm."""
    warmup = config.warmup_steps
    # The first step has rate lr / warmup and not 0, which would be a step lost.
    rate: Any = config.learning_rate
    if warmup > 0:
        rate = lambda count: config.learning_rate * jnp.minimum(1.0, (count + 1) / warmup)  # noqa: E731
    adam = optax.adam(rate, b1=config.beta1, b2=config.beta2, eps=config.epsilon)
    if config.grad_clip is None:
        return adam
    return optax.chain(optax.clip_by_global_norm(config.grad_clip), adam)


def init_state(init: Callable[[jax.Array], Params], config: OptimConfig, seed: int) -> TrainState:
    """The state before the first step; the average starts at the parameters."""
    params = init(jax.random.fold_in(jax.random.key(seed), INIT))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        ema=jax.tree.map(jnp.copy, params),
        opt_state=make_optimizer(config).init(params),
    )


def ema_rate(config: OptimConfig, step: Int[Array, ""]) -> Float[Array, ""]:
    """The decay of the average at a step, from 0.

    With start-up min(ema_decay, (1 + step) / (10 + step)), so that it forgets its start soon.
    """
    decay = jnp.asarray(config.ema_decay, jnp.float32)
    if not config.ema_startup:
        return decay
    step = step.astype(jnp.float32)
    return jnp.minimum(decay, (1.0 + step) / (10.0 + step))


def train_step(
    loss: Loss, config: OptimConfig, seed: int, state: TrainState, batch: Batch
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One step of Adam on the mean loss of a batch, and of the average.

    Randomness is a function of (seed, step), so that a resumed run repeats an unbroken one.

    Returns:
        The new state, and float32 figures: `loss`, `grad_norm` (before clipping), `quartile_sum`
        and `quartile_count` [4], the losses by the quarter of the process they were taken in.
    """
    root = jax.random.fold_in(jax.random.key(seed), TRAIN)
    key = jax.random.fold_in(root, state.step)

    def mean_loss(params: Params) -> tuple[jax.Array, Any]:
        losses, place = loss(params, batch, key)
        return losses.mean(), (losses, place)

    (value, (losses, place)), grads = jax.value_and_grad(mean_loss, has_aux=True)(state.params)
    updates, opt_state = make_optimizer(config).update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    rate = ema_rate(config, state.step)
    ema = jax.tree.map(lambda old, new: old + (1.0 - rate) * (new - old), state.ema, params)

    quartile = jnp.clip(jnp.ceil(place * 4.0).astype(jnp.int32) - 1, 0, 3)
    member = jax.nn.one_hot(quartile, 4)
    figures = {
        "loss": value,
        "grad_norm": optax.tree.norm(grads),
        "quartile_sum": (losses[:, None] * member).sum(axis=0),
        "quartile_count": member.sum(axis=0),
    }
    return TrainState(state.step + 1, params, ema, opt_state), figures
