"""A network in the precision that the spec names: where its numbers narrow on the way in and widen on the way out."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from cnnlab import kernels
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.precision import at_least_float32

DENSE = 2  # axes of a dense layer's kernel: in_features, features


def forward(model: nnx.Module, x: Array, precision: str, mode: Mode = EVALUATION) -> Any:
    """What the model makes of x (logits, or `Heads`) in float32 or wider, computed in `precision`.

    Layers follow the numbers that they are given: "bfloat16" narrows x, "float32" leaves it as it is, and so
    does whoever computes in float64.
    """
    given = x.astype(jnp.bfloat16) if precision == "bfloat16" else x
    return jax.tree.map(_widened, model(given, mode))  # type: ignore[operator]


def ready(params: Any) -> Any:
    """The parameters of a pass in bfloat16 over many batches: what dense layers cast in each of them is cast once.

    Of an MLP's evaluation the casts take a quarter. Kernels of convolutions go to theirs as they are.
    """

    def narrowed(path: tuple[Any, ...], leaf: Array) -> Array:
        return leaf.astype(jnp.bfloat16) if path[-1].key == "kernel" and leaf.ndim == DENSE else leaf

    return jax.tree_util.tree_map_with_path(narrowed, params)


def inference() -> Mode:
    """How evaluation and prediction pass through a network here: folded, where the kernels are in use."""
    return Mode(fold=kernels.enable().in_use)


def _widened(leaf: Any) -> Any:
    return leaf.astype(at_least_float32(leaf)) if isinstance(leaf, Array) else leaf
