"""The training step on a CPU with XLA's YNNPACK fusions (its default) and without them (ours).

    .venv/bin/python benchmarks/compiler_options.py [PRESET]

Prints the seconds of one step, the fastest of five, and their ratio. Settings: the preset's; data:
random pixels, since the time does not depend on them.
"""

import functools
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from cdm import images, presets
from cdm.mesh import compiler_options
from cdm.objective import stage_loss
from cdm.stage import make_stage
from cdm.training.state import init_state, train_step


def seconds_of_a_step(preset: str, options: dict) -> float:
    config = presets.get(preset).stage
    stage = make_stage(config)
    size, b = config.model.resolution, config.train.batch_size
    generator = np.random.default_rng(0)
    batch = {
        "image": generator.integers(0, 256, (b, size, size, 3), np.uint8),
        "label": np.zeros(b, np.int32),
    }

    def loss(params, batch, key):
        return stage_loss(stage, params, key, images.from_uint8(batch["image"]), batch["label"])

    state = init_state(stage.network.init, config.optim, 0)
    step = jax.jit(functools.partial(train_step, loss, config.optim, 0), compiler_options=options)
    batch = jax.tree.map(jnp.asarray, batch)
    jax.block_until_ready(step(state, batch))
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        jax.block_until_ready(step(state, batch))
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    preset = sys.argv[1] if len(sys.argv) > 1 else "demo16_base"
    theirs = seconds_of_a_step(preset, {})
    ours = seconds_of_a_step(preset, compiler_options())
    print(f"{preset} on {jax.devices()[0].device_kind}")
    print(f"  XLA's default     {theirs:.3f} s a step")
    print(f"  compiler_options  {ours:.3f} s a step, {theirs / ours:.2f} times as fast")


if __name__ == "__main__":
    main()
