"""Average pooling, and its gradient, by a kernel of our own on the CPU: for training.

As equations of JAX's, `plain`, which is what evaluation takes, it is the same numbers.
"""

import ctypes
from collections.abc import Callable
from functools import partial, reduce
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.core import ShapedArray
from jax.interpreters import mlir

from cnnlab.kernels import pooling
from cnnlab.kernels.primitive import Rule, kernel_may, lowered, plain_rule, primitive, varies

Axes = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]


def average_pool(x: Array, window: Axes, stride: Axes, pads: Pads) -> Array:
    """The mean of each window over x [batch, *space, channel], per channel; padded positions do not count."""
    if varies(x):
        return plain(x, window=window, stride=stride, pads=pads)[0]
    return _average((window, stride, pads, x.shape[1:-1]), x)


def plain(x: Array, *, window: Axes, stride: Axes, pads: Pads) -> list[Array]:
    """The same as a list of one, by sums in float32 at least."""
    padding = ((0, 0), *pads, (0, 0))
    wide = jnp.promote_types(x.dtype, jnp.float32)
    count: Array | int = prod(window)
    if any(map(any, padding)):
        inside = jnp.pad(jnp.ones((1, *x.shape[1:-1], 1), wide), padding)
        count = over_windows(inside, window, stride, jnp.add)
        x = jnp.pad(x, padding)
    return [(over_windows(x.astype(wide), window, stride, jnp.add) / count).astype(x.dtype)]


def over_windows(x: Array, window: Axes, stride: Axes, join: Callable[[Array, Array], Array]) -> Array:
    """`join` over every window, one axis after the other, as k strided slices each: it has to be separable."""
    for axis, (k, s) in enumerate(zip(window, stride, strict=True), start=1):
        x = joined(x, axis, range(k), s, (x.shape[axis] - k) // s + 1, join)
    return x


def joined(x: Array, axis: int, window: range, stride: int, count: int, join: Callable[[Array, Array], Array]) -> Array:
    """`join` over `count` windows along an axis, the first of which sees the positions `window`."""
    end = (count - 1) * stride + 1
    return reduce(join, [jax.lax.slice_in_dim(x, i, i + end, stride, axis) for i in window])


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _average(sizes: tuple[Axes, Axes, Pads, Axes], x: Array) -> Array:
    window, stride, pads, _ = sizes
    return average_pool_p.bind(x, window=window, stride=stride, pads=pads)[0]


def _forward(sizes: tuple[Axes, Axes, Pads, Axes], x: Array) -> tuple[Array, None]:
    return _average(sizes, x), None


def _backward(sizes: tuple[Axes, Axes, Pads, Axes], _: None, dy: Array) -> tuple[Array]:
    window, stride, pads, space = sizes
    return (gradient_p.bind(dy, window=window, stride=stride, pads=pads, space=space)[0],)


_average.defvjp(_forward, _backward)


def _plain_gradient(dy: Array, *, window: Axes, stride: Axes, pads: Pads, space: Axes) -> list[Array]:
    x = jax.ShapeDtypeStruct((dy.shape[0], *space, dy.shape[-1]), dy.dtype)
    pull = jax.linear_transpose(lambda x: plain(x, window=window, stride=stride, pads=pads)[0], x)
    return [pull(dy)[0]]


def _shapes(x: Any, *, window: Axes, stride: Axes, pads: Pads) -> list[Any]:
    edges = zip(x.shape[1:-1], window, stride, pads, strict=True)
    space = ((n + low + high - k) // s + 1 for n, k, s, (low, high) in edges)
    return [ShapedArray((x.shape[0], *space, x.shape[-1]), x.dtype)]


def _shapes_of_gradient(dy: Any, *, window: Axes, stride: Axes, pads: Pads, space: Axes) -> list[Any]:
    return [ShapedArray((dy.shape[0], *space, dy.shape[-1]), dy.dtype)]


STATIC = ("window", "stride", "pads")
average_pool_p = primitive("average_pool", plain, _shapes, STATIC)
gradient_p = primitive("average_pool_gradient", _plain_gradient, _shapes_of_gradient, (*STATIC, "space"))


def _pooling_of(context: Any, parameters: dict[str, Any]) -> pooling.Pooling | None:
    """What the kernel may do for an equation, or None where the plain form stays."""
    operand, made = context.avals_in[0], context.avals_out[0]
    if not kernel_may(context):
        return None
    x, y = (made, operand) if "space" in parameters else (operand, made)
    window, stride = ((1, *parameters[key], 1) for key in ("window", "stride"))
    padding = ((0, 0), *parameters["pads"], (0, 0))
    return pooling.recognise(x.shape, y.shape, window, stride, padding, x.dtype.name)


def _call(target: str, original: Rule) -> Rule:
    """The lowering rule that calls a kernel where it may do an equation, and `original` elsewhere."""

    def rule(context: Any, operand: Any, **parameters: Any) -> Any:
        found = _pooling_of(context, parameters)
        if found is None:
            return original(context, operand, **parameters)
        emit = jax.ffi.ffi_lowering(target, backend_config={"pooling": mlir.dense_int_array(found.numbers())})
        return emit(context, operand)

    return rule


def install(library: ctypes.CDLL) -> None:
    """Registers the library's kernels with XLA and lowers both primitives to them. Call it after lowering.install."""
    lowered(average_pool_p, plain_rule(plain), library.cnnlab_average_pool, _call)
    lowered(gradient_p, plain_rule(_plain_gradient), library.cnnlab_average_pool_gradient, _call)
