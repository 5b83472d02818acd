"""The devices as one mesh, and how arrays lie on it."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def compiler_options() -> dict[str, Any]:
    """What to tell the compiler of large programs (`compiler_options` of `jax.jit`).

    On a CPU, XLA's fusions for YNNPACK are left out: with them the training step of a U-Net takes
    1.6 times as long (benchmarks/compiler_options.py), since they are slow at the gradients of
    convolutions.
    """
    if jax.default_backend() == "cpu":
        return {"xla_cpu_experimental_ynn_fusion_type": ""}
    return {}


def make_mesh() -> Mesh:
    """All devices of all hosts in one mesh with axes `data` and `fsdp` (of size 1)."""
    return jax.make_mesh(
        (jax.device_count(), 1), ("data", "fsdp"), axis_types=(AxisType.Auto, AxisType.Auto)
    )


def check_batch(mesh: Mesh, batch_size: int) -> None:
    """ValueError if the devices cannot share the batch evenly."""
    if batch_size % mesh.size:
        raise ValueError(
            f"train.batch_size {batch_size} cannot be shared by {mesh.size} devices; "
            f"take a multiple of {mesh.size}"
        )


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def along_batch(mesh: Mesh) -> NamedSharding:
    """The first dimension shared by all devices."""
    return NamedSharding(mesh, PartitionSpec(("data", "fsdp")))


def put_batch(mesh: Mesh, batch: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """This host's share of a batch as one global array for each name."""
    sharding = along_batch(mesh)
    return {
        name: jax.make_array_from_process_local_data(sharding, values)
        for name, values in batch.items()
    }
