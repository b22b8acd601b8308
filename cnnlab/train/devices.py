"""Several devices, of one process or of all that train together, share the examples of each batch; every one of them
holds the whole state."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def mesh_for(batch_size: int, *, together: bool = False) -> Mesh | None:
    """As many of this process's devices as divide the batch evenly; None where that is one.

    `together`: of the devices of all processes, the same number of each. The processes must divide the batch.
    """
    there = jax.devices() if together else jax.local_devices()
    of_process = [[d for d in there if d.process_index == p] for p in sorted({d.process_index for d in there})]
    most = min(map(len, of_process))
    count = max(n for n in range(1, most + 1) if batch_size % (n * len(of_process)) == 0)
    chosen = [device for devices in of_process for device in devices[:count]]
    return None if len(chosen) == 1 else Mesh(np.array(chosen), ("batch",), axis_types=(AxisType.Auto,))


def everywhere(mesh: Mesh) -> NamedSharding:
    """The whole of an array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def replicated(tree: Any, mesh: Mesh | None) -> Any:
    """Fresh arrays on the device, or on all of the mesh. Each process gives the same."""
    fresh = jax.tree.map(jnp.array, tree)
    if mesh is None or not mesh.is_multi_process:
        return fresh if mesh is None else jax.device_put(fresh, everywhere(mesh))

    def placed(x: Array) -> Array:
        parts = [jax.device_put(x, device) for device in mesh.local_devices]
        return jax.make_array_from_single_device_arrays(x.shape, everywhere(mesh), parts)

    return jax.tree.map(placed, fresh)


def shared(x: Array, mesh: Mesh | None) -> Array:
    """x [batch, ...] inside a compiled function, an equal part of the batch on each device of the mesh."""
    return x if mesh is None else jax.lax.with_sharding_constraint(x, NamedSharding(mesh, PartitionSpec("batch")))


def part_of(mesh: Mesh | None) -> tuple[int, int]:
    """Which part of a batch this process brings, and of how many: (0, 1) is all of it."""
    if mesh is None or not mesh.is_multi_process:
        return 0, 1
    there = sorted({device.process_index for device in mesh.devices.flat})
    return there.index(jax.process_index()), len(there)


def whole(x: np.ndarray, mesh: Mesh | None) -> np.ndarray | Array:
    """The batch [batch, ...] of whose rows each process brings its part, x; x itself where one process has all."""
    if mesh is None or not mesh.is_multi_process:
        return x
    return jax.make_array_from_process_local_data(NamedSharding(mesh, PartitionSpec("batch")), x)
