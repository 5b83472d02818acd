"""What a stage costs, before anything is spent: parameters, FLOPs, memory of the state."""

import json
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from cdm import config as configs
from cdm.config import StageConfig
from cdm.objective import stage_loss
from cdm.stage import Stage, make_stage

GIB = 2**30


def describe(config: StageConfig) -> str:
    """The settings and the costs of a stage as text. Nothing is allocated or run."""
    stage = make_stage(config)
    parameters = count_parameters(stage)
    forward, training = flops_per_example(stage)
    # Parameters, their average, and Adam's two moments, all float32.
    state = 4 * 4 * parameters
    rows = [
        ("parameters", f"{parameters:,} ({parameters / 1e6:.1f} M)"),
        ("FLOPs per example", f"{forward:.4g} forward, {training:.4g} forward and backward"),
        (
            "memory of the state",
            f"{state / GIB:.2f} GiB: parameters {state / 4 / GIB:.2f}, Adam {state / 2 / GIB:.2f}, "
            f"EMA {state / 4 / GIB:.2f} (activations and gradients come on top)",
        ),
        (
            "training",
            f"{config.train.steps:,} steps of {config.train.batch_size} = "
            f"{config.train.steps * config.train.batch_size:,} examples, "
            f"{training * config.train.steps * config.train.batch_size:.3g} FLOPs",
        ),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [json.dumps(configs.to_dict(config), indent=2), ""]
    lines += [f"{name:{width}}  {text}" for name, text in rows]
    return "\n".join(lines)


def count_parameters(stage: Stage) -> int:
    """How many numbers the network learns."""
    abstract = jax.eval_shape(stage.network.init, jax.random.key(0))
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(abstract))


def flops_per_example(stage: Stage) -> tuple[float, float]:
    """Floating-point operations of the loss of one example, and of the loss with its gradient.

    Counted by XLA on the lowered program, before it is compiled; a multiply-add is two.
    """
    m = stage.config.model
    x = jax.ShapeDtypeStruct((1, m.resolution, m.resolution, 3), jnp.float32)
    label = jax.ShapeDtypeStruct((1,), jnp.int32)
    z = None if m.low_res is None else jax.ShapeDtypeStruct((1, m.low_res, m.low_res, 3), x.dtype)
    s = None if stage.augment_schedule is None else label
    params = jax.eval_shape(stage.network.init, jax.random.key(0))

    def loss(*inputs: Any) -> jax.Array:
        return stage_loss(stage, *inputs)[0].mean()

    def flops(function: Callable[..., Any]) -> float:
        analysis = jax.jit(function).lower(params, jax.random.key(0), x, label, z, s)
        return float((analysis.cost_analysis() or {})["flops"])

    return flops(loss), flops(jax.value_and_grad(loss))
