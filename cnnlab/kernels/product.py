"""oneDNN in the place of XLA's product on the CPU where that is slow: the gradient of a dense layer's kernel.

As in lowering.py it is JAX's rule for the CPU that is replaced, that of `dot_general`, and only for matrices that are
both summed over their first axis; XLA's own is as fast for the others. Jaxprs look as before.
"""

import ctypes
import os
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.interpreters import mlir

from cnnlab.kernels import build, lowering
from cnnlab.kernels.primitive import Rule
from cnnlab.kernels.problem import TYPES

ACROSS = (((0,), (0,)), ((), ()))
# Multiply-adds below which a call costs more than it saves.
LEAST_WORK = 100_000
# Of fewer float32 examples, oneDNN's gradient of a kernel takes twice as long as XLA's.
LEAST_EXAMPLES = 32


class Product(NamedTuple):
    """left^T right of [depth, rows] and [depth, columns], in the order of the struct in product.cc."""

    rows: int
    depth: int
    columns: int
    operand: int
    result: int


def _product_of(context: Any, parameters: dict[str, Any]) -> Product | None:
    """What oneDNN may do for an equation, turned over, or None where XLA's own rule stays."""
    if not lowering.applies(context) or parameters.get("out_sharding") is not None:
        return None
    right, left = context.avals_in
    types = left.dtype.name, context.avals_out[0].dtype.name
    if parameters["dimension_numbers"] != ACROSS or left.ndim != 2 or right.ndim != 2:
        return None
    sizes = (*left.shape, *right.shape)
    if not all(isinstance(n, int | np.integer) and n > 0 for n in sizes) or left.dtype != right.dtype:
        return None
    if types[0] not in TYPES or types[1] not in (types[0], "float32"):
        return None
    if not isinstance(parameters["precision"], jax.lax.Precision | tuple | None):
        return None  # an algorithm of the caller's own
    (depth, rows), columns = left.shape, right.shape[1]
    if (types[0] == "float32" and depth < LEAST_EXAMPLES) or rows * depth * columns < LEAST_WORK:
        return None
    return Product(rows, depth, columns, TYPES[types[0]], TYPES[types[1]])


def _rule(library: ctypes.CDLL, target: str, original: Rule) -> Rule:
    """The lowering rule that asks `library` first and `original` where it has nothing fast."""

    def rule(context: Any, left: Any, right: Any, **parameters: Any) -> Any:
        product = _product_of(context, parameters)
        if product is None or not _has_fast(library, product):
            return original(context, left, right, **parameters)
        # JAX asks for dy^T x and turns it over: so x^T dy is made and turned over too, and XLA drops both.
        (a, b), (out,) = context.avals_in, context.avals_out
        turned = context.replace(avals_in=[b, a], avals_out=[out.update(shape=out.shape[::-1])])
        emit = jax.ffi.ffi_lowering(target, backend_config={"problem": mlir.dense_int_array([*product])})
        (made,) = emit(turned, right, left)
        return [lowering.transposed(made)]

    return rule


def _has_fast(library: ctypes.CDLL, product: Product) -> bool:
    numbers = (ctypes.c_int64 * len(product))(*product)
    return bool(library.cnnlab_product_probe(numbers, len(os.sched_getaffinity(0))))


def install(library: ctypes.CDLL) -> None:
    """Registers the library's product with XLA and puts its rule before JAX's. Call it after lowering.install."""
    library.cnnlab_product_probe.argtypes = (ctypes.POINTER(ctypes.c_int64), ctypes.c_int64)
    target = f"cnnlab_product_{build.key()}"
    jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(library.cnnlab_product), platform="cpu")
    original = lowering.present_rule(jax.lax.dot_general_p)
    mlir.register_lowering(jax.lax.dot_general_p, _rule(library, target, original), platform="cpu")
