"""Primitives of JAX's of our own: each has a plain formulation for every platform, and a kernel on the CPU."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from cnnlab.kernels import build, lowering

Rule = Callable[..., Any]


def primitive(name: str, plain: Rule, shapes: Rule, static: tuple[str, ...] = ()) -> Primitive:
    """What evaluates, batches, differentiates and lowers as `plain` does; all its results are in a list.

    `static` names its parameters.
    """
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
    mlir.register_lowering(made, plain_rule(plain))
    return made


def varies(operand: Array) -> bool:
    """Whether it is in a shard_map that keeps account of what differs from device to device: for plain forms only."""
    manual = getattr(jax.typeof(operand), "manual_axis_type", None)
    return bool(getattr(manual, "varying", None) or getattr(jax.typeof(operand), "vma", None))


def kernel_may(context: Any) -> bool:
    """Whether a kernel may do an equation: on the CPU, on whole float32 or bfloat16 maps whose sizes are known."""
    x = context.avals_in[0]
    if not lowering.applies(context) or x.dtype.name not in ("float32", "bfloat16"):
        return False
    return all(isinstance(n, int | np.integer) and n > 0 for n in x.shape)


def register(kernel: Any) -> str:
    """Registers a kernel with XLA; gives the name, which changes with the sources, by which programs call it."""
    target = f"{kernel.__name__}_{build.key()}"
    jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(kernel), platform="cpu")
    return target


def plain_rule(plain: Rule) -> Rule:
    """The rule that lowers an equation to what `plain` does, a list of results."""
    return mlir.lower_fun(plain, multiple_results=True)


def lowered(made: Primitive, original: Rule, kernel: Any, call: Callable[[str, Rule], Rule]) -> None:
    """Lowers a primitive on the CPU by the rule `call(target, original)`.

    It calls the kernel that is registered as `target` where that may do an equation, else `original`.
    """
    mlir.register_lowering(made, call(register(kernel), original), platform="cpu")
