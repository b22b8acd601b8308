"""Convolutions as plain JAX, for a CPU without the native kernels, where XLA's own take far longer than they need.

A formula is of arrays in one form: maps [batch, *space, channel], weights [*window, group, channel within its group,
feature within its group]. Which convolution has which is decided in `formula_of`.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from cnnlab.kernels import depthwise, grouped
from cnnlab.kernels.problem import FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT, Call, Dimensions, Problem

Formula = Callable[[Array, Array], Array]

MOST_TAPS = 150  # of a depthwise window: the program grows with them


def _pointwise_weight_gradient(p: Problem, x: Array, dy: Array) -> Array:
    """A product of matrices."""
    x = depthwise.seen(x, [0] * len(p.window), p.target, p.stride).reshape(-1, p.channels)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    over_places = (((0,), (0,)), ((), ()))
    made = lax.dot_general(x, dy.reshape(-1, p.features), over_places, preferred_element_type=wide)
    return made.reshape(*p.window, 1, p.channels, p.features)


Kind = Callable[[Problem, Array, Array], Array]
# By the kind of work: of (x, weights) to y, of (dy, weights) to dx, of (x, dy) to dweights.
DEPTHWISE: dict[int, Kind] = {
    FORWARD: depthwise.forward,
    INPUT_GRADIENT: depthwise.input_gradient,
    WEIGHT_GRADIENT: depthwise.weight_gradient,
}
POINTWISE: dict[int, Kind] = {WEIGHT_GRADIENT: _pointwise_weight_gradient}
GROUPED: dict[int, Kind] = {
    FORWARD: grouped.forward,
    INPUT_GRADIENT: grouped.input_gradient,
    WEIGHT_GRADIENT: grouped.weight_gradient,
}


def kind_of(p: Problem) -> Kind | None:
    """The formula that does a convolution faster than XLA, or None.

    Milliseconds of forward / input gradient / weight gradient on two cores, jax 0.10.2:

    | | XLA | here |
    |---|---|---|
    | depthwise 3x3, 8x112x112x32 | 85 / 84 / 24 | 2.0 / 2.1 / 7.4 |
    | depthwise 3x3/2, 8x112x112x96 | 66 / 432 / 56 | 6.8 / 5.4 / 6.8 |
    | depthwise 5x5, 8x14x14x672 | 44 / 43 / 422 | 4.9 / 3.7 / 6.2 |
    | 32 groups 3x3, 8x28x28x128 | 18 / 17 / 1860 | 3.8 / 3.5 / 5.2 |
    | 1x1 64 to 256, 8x56x56 | - / - / 36 | - / - / 7.1 |

    No gain: 1x1 forward with `plain.compiler_options`, transposed convolutions as products of matrices (8.5 instead
    of 6.6 ms), strided input gradients phase by phase where channels are mixed, sums of products for 3x3.
    """
    channels, features = p.channels // p.groups, p.features // p.groups
    if p.groups == 1:
        return POINTWISE.get(p.kind) if prod(p.window) == 1 else None
    few = min(channels, features) == 1 and max(channels, features) <= 4 and prod(p.window) <= MOST_TAPS
    return (DEPTHWISE if few else GROUPED)[p.kind]


def _in_groups(rhs: Array, place: tuple[int, ...], call: Call) -> Array:
    """JAX's weights, whose dimensions (output, input, *window) are at `place`, as formulas take them."""
    output, other, *axes = place
    w = rhs.transpose(*axes, output, other)
    w = w.reshape(*w.shape[:-2], call.problem.groups, -1, w.shape[-1])  # [*window, group, output, input]
    w = lax.rev(w, range(len(axes))) if call.reversed_weights else w
    return w if call.problem.kind == INPUT_GRADIENT else jnp.swapaxes(w, -1, -2)


def _from_groups(w: Array, place: tuple[int, ...], call: Call) -> Array:
    """What `_in_groups` undoes, for a gradient of weights."""
    output, other, *axes = place
    w = w if call.swapped else jnp.swapaxes(w, -1, -2)
    w = lax.rev(w, range(len(axes))) if call.reversed_weights else w
    w = w.reshape(*w.shape[:-3], -1, w.shape[-1])
    order = (*axes, output, other)
    return w.transpose([order.index(i) for i in range(len(order))])


def formula_of(call: Call, dimensions: Dimensions, result: Any) -> Formula | None:
    """The formula of JAX's operands that does `call`, in numbers of the type `result`; None where XLA is as fast."""
    p = call.problem
    kind = kind_of(p)
    if kind is None:
        return None

    def formula(lhs: Array, rhs: Array) -> Array:
        if p.kind == WEIGHT_GRADIENT:
            x, dy = (rhs, lhs) if call.swapped else (lhs, rhs)
            other, output, *axes = dimensions.out
            made = _from_groups(kind(p, x, dy), (output, other, *axes), call)
        else:
            made = kind(p, lhs, _in_groups(rhs, dimensions.rhs, call))
        return made.astype(result)

    return formula
