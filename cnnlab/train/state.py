"""Everything that a training run carries from step to step, as one pytree."""

from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from flax import nnx
from jax import Array

from cnnlab.tasks.task import Sums, Task


class State(NamedTuple):
    """`params` and `stats` are pure dicts of the model's split; `step` counts finished steps.

    `sums` are the running epoch's. `diverged_at` is the first step whose loss or gradient left what is
    reasonable, -1 while there is none, and `diverged_loss` that step's loss.
    """

    params: Any
    stats: Any
    optimizer: Any
    sums: Sums
    step: Array
    diverged_at: Array
    diverged_loss: Array


def split(model: nnx.Module) -> tuple[nnx.GraphDef, Any, Any]:
    """The model's structure, parameters and batch statistics; `nnx.merge` puts them together again."""
    graph, params, stats = nnx.split(model, nnx.Param, nnx.BatchStat)
    return graph, nnx.to_pure_dict(params), nnx.to_pure_dict(stats)


def initial(params: Any, stats: Any, transform: optax.GradientTransformation, task: Task) -> State:
    """The state before the first step, as NumPy arrays."""
    state = State(
        params,
        stats,
        transform.init(params),
        task.zero(),  # type: ignore[arg-type]
        *(np.zeros((), np.int32), np.full((), -1, np.int32), np.zeros((), np.float32)),  # type: ignore[arg-type]
    )
    return jax.device_get(state)


def named_leaves(tree: Any) -> dict[str, Any]:
    """The leaves under readable names, `params.c1.kernel`: what a checkpoint stores."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def from_named(leaves: dict[str, Any], like: Any) -> Any:
    """The tree of the form of `like` with the leaves of those names."""
    return jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in named_leaves(like)])
