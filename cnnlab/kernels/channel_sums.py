"""Sums over space, one number for each example and channel, and what needs them: a map's mean, and a gate's gradient.

For training: as equations of JAX's, which is what evaluation takes, they are the same numbers.
"""

import ctypes
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.core import ShapedArray

from cnnlab.kernels.primitive import Rule, kernel_may, lowered, plain_rule, primitive, varies


def mean_over_space(x: Array) -> Array:
    """x [batch, *space, channel] to its means [batch, channel], in float32 at least."""
    if varies(x):
        return _plain(x)[0] / prod(x.shape[1:-1])
    return _mean(x)


def weighed(x: Array, weight: Array) -> Array:
    """x [batch, *space, channel] times `weight` [batch, channel], in the type of x; the product is in weight's."""
    return _times(x, weight) if varies(x) or varies(weight) else _weighed(x, weight)


def _wide(x: Array) -> Any:
    return jnp.promote_types(x.dtype, jnp.float32)


def _over_space(numbers: Array, axes: int) -> Array:
    """[batch, channel] as [batch, 1 ..., channel], of `axes` axes."""
    return jnp.expand_dims(numbers, range(1, axes - 1))


@jax.custom_vjp
def _mean(x: Array) -> Array:
    return channel_sums_p.bind(x)[0] / prod(x.shape[1:-1])


def _mean_forward(x: Array) -> tuple[Array, Array]:
    return _mean(x), x


def _mean_backward(x: Array, dmean: Array) -> tuple[Array]:
    share = (dmean / prod(x.shape[1:-1])).astype(x.dtype)
    return (jnp.broadcast_to(_over_space(share, x.ndim), x.shape),)


_mean.defvjp(_mean_forward, _mean_backward)


def _times(x: Array, weight: Array) -> Array:
    return (x * _over_space(weight, x.ndim)).astype(x.dtype)


@jax.custom_vjp
def _weighed(x: Array, weight: Array) -> Array:
    return _times(x, weight)


def _weighed_forward(x: Array, weight: Array) -> tuple[Array, tuple[Array, Array]]:
    return _times(x, weight), (x, weight)


def _weighed_backward(saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, weight = saved
    return _times(dy, weight), channel_sums_p.bind(dy, x)[0].astype(weight.dtype)


_weighed.defvjp(_weighed_forward, _weighed_backward)


def _plain(x: Array, *by: Array) -> list[Array]:
    terms = x.astype(_wide(x))
    for factor in by:
        terms = terms * factor.astype(terms.dtype)
    return [terms.sum(range(1, x.ndim - 1))]


def _shapes(x: Any, *by: Any) -> list[Any]:
    return [ShapedArray((x.shape[0], x.shape[-1]), _wide(x))]


channel_sums_p = primitive("channel_sums", _plain, _shapes)


def _call(target: str, original: Rule) -> Rule:
    """The lowering rule that calls the kernel where it may do an equation, and `original` elsewhere."""
    emit = jax.ffi.ffi_lowering(target)
    return lambda context, *operands: (emit if kernel_may(context) else original)(context, *operands)


def install(library: ctypes.CDLL) -> None:
    """Registers the library's kernel with XLA and lowers the sums to it. Call it after lowering.install."""
    lowered(channel_sums_p, plain_rule(_plain), library.cnnlab_channel_sums, _call)
