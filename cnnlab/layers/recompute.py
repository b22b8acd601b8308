"""Activations computed twice instead of kept: training in less memory (Chen, Xu, Zhang and Guestrin 2016).

Of a block, the forward pass keeps the input alone, and the backward pass computes what is inside once more. Values,
gradients, batch statistics and the draws of dropout are those of a pass that keeps everything.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jax import Array

from cnnlab.layers.mode import EVALUATION, Mode

_MARK = "recomputable"
Call = Callable[[Any, Array, Mode], Array]


def recomputable(call: Call) -> Callable[..., Array]:
    """Decorates `__call__(self, x, mode)` of a module that is a block: where the mode asks for it, x alone is kept.

    Blocks inside a block are computed again with it.
    """

    @functools.wraps(call)
    def recomputing(self: nnx.Module, x: Array, mode: Mode = EVALUATION) -> Array:
        return _twice(call, self, x, mode) if mode.recompute else call(self, x, mode)

    setattr(recomputing, _MARK, True)
    return recomputing


def _twice(call: Call, module: nnx.Module, x: Array, mode: Mode) -> Array:
    graph, params, rest = nnx.split(module, nnx.Param, ...)

    @jax.checkpoint
    def run(params: Any, rest: Any, x: Array, key: Array | None) -> tuple[Array, Any]:
        copy = nnx.merge(graph, params, rest)
        y = call(copy, x, Mode(mode.train, key))
        return y, nnx.state(copy, nnx.BatchStat)

    y, statistics = run(params, rest, x, mode.key)
    nnx.update(module, statistics)  # those of the first computation; the second serves the gradient alone
    return y


def has_blocks(model: nnx.Module) -> bool:
    """Whether there is anything to recompute."""
    return any(hasattr(type(module).__call__, _MARK) for _, module in nnx.iter_modules(model))


def compiler_options() -> dict[str, str]:
    """What `jax.jit` needs for a pass that recomputes.

    On the CPU XLA removes the barriers between the two computations of a block before it looks for common ones, and
    would then do both at once and keep the result.
    """
    return {"xla_disable_hlo_passes": "cse_barrier_expander"} if jax.default_backend() == "cpu" else {}
