"""Several devices of one machine share the examples of each batch; every one of them holds the whole state."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def mesh_for(batch_size: int) -> Mesh | None:
    """As many of this process's devices as divide the batch evenly; None where that is one."""
    there = jax.local_devices()
    count = max(n for n in range(1, len(there) + 1) if batch_size % n == 0)
    return None if count == 1 else jax.make_mesh((count,), ("batch",), (AxisType.Auto,), devices=there[:count])


def everywhere(mesh: Mesh) -> NamedSharding:
    """The whole of an array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def replicated(tree: Any, mesh: Mesh | None) -> Any:
    """Fresh arrays on the device, or on all of the mesh."""
    fresh = jax.tree.map(jnp.array, tree)
    return fresh if mesh is None else jax.device_put(fresh, everywhere(mesh))


def shared(x: Array, mesh: Mesh | None) -> Array:
    """x [batch, ...] inside a compiled function, an equal part of the batch on each device of the mesh."""
    return x if mesh is None else jax.lax.with_sharding_constraint(x, NamedSharding(mesh, PartitionSpec("batch")))
