"""Everything that a training run carries from step to step, as one pytree."""

from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jax import Array

from cnnlab.tasks.task import Sums, Task


class State(NamedTuple):
    """`params` and `stats` are pure dicts of the model's split; `step` counts finished steps.

    `sums` are the running epoch's. `diverged_at` is the first step whose loss or gradient left what is
    reasonable, -1 while there is none, and `diverged_loss` that step's loss. The rest is None where the spec does
    not ask for it: gradients `gathered` since the last update, the `average` of the weights, and a `plateau`.
    """

    params: Any
    stats: Any
    optimizer: Any
    sums: Sums
    step: Array
    diverged_at: Array
    diverged_loss: Array
    gathered: Any = None
    average: Any = None
    plateau: Any = None


def split(model: nnx.Module) -> tuple[nnx.GraphDef, Any, Any]:
    """The model's structure, parameters and batch statistics; `nnx.merge` puts them together again."""
    graph, params, stats = nnx.split(model, nnx.Param, nnx.BatchStat)
    return graph, nnx.to_pure_dict(params), nnx.to_pure_dict(stats)


def initial(params: Any, stats: Any, begun: dict[str, Any], task: Task) -> State:
    """The state before the first step, as NumPy arrays; `begun` are the fields that are an update's."""
    fields: dict[str, Any] = {
        "sums": task.zero(),
        "step": np.zeros((), np.int32),
        "diverged_at": np.full((), -1, np.int32),
        "diverged_loss": np.zeros((), np.float32),
        **begun,
    }
    return jax.device_get(State(params=params, stats=stats, **fields))


def named_leaves(tree: Any) -> dict[str, Any]:
    """The leaves under readable names, `params.c1.kernel`: what a checkpoint stores."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def from_named(leaves: dict[str, Any], like: Any) -> Any:
    """The tree of the form of `like` with the leaves of those names."""
    return jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in named_leaves(like)])
