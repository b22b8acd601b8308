"""Primitives of our own for JAX, each with a plain formulation for every platform."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

Rule = Callable[..., Any]


def primitive(name: str, plain: Rule, shapes: Rule, static: tuple[str, ...]) -> Primitive:
    """What evaluates, batches, differentiates and lowers as `plain` does, which returns a list; `static` parameters."""
    made = Primitive(name)
    made.multiple_results = True
    made.def_abstract_eval(shapes)
    compiled = jax.jit(lambda *operands, **parameters: made.bind(*operands, **parameters), static_argnames=static)

    def evaluate(*operands: Any, **parameters: Any) -> Any:
        with jax.disable_jit(False):
            return compiled(*operands, **parameters)

    def batched(operands: Any, axes: Any, **parameters: Any) -> Any:
        results = jax.vmap(partial(plain, **parameters), axes)(*operands)
        return results, [0] * len(results)

    def tangents(primals: Any, tangents: Any, **parameters: Any) -> Any:
        given = [ad.instantiate_zeros(t) for t in tangents]
        return jax.jvp(partial(plain, **parameters), primals, tuple(given))

    made.def_impl(evaluate)
    batching.primitive_batchers[made] = batched
    ad.primitive_jvps[made] = tangents
    mlir.register_lowering(made, mlir.lower_fun(plain, multiple_results=True))
    return made
