"""Convolutions as plain JAX, for a CPU without the native kernels, where XLA's own take far longer than they need.

A formula is of arrays in one form: maps [batch, *space, channel], weights [*window, group, channel within its group,
feature within its group]. Which convolution has which is decided in `formula_of`.
"""

import itertools
from collections.abc import Callable, Sequence
from functools import reduce
from math import prod
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from cnnlab.kernels.problem import FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT, Call, Dimensions, Problem
from cnnlab.kernels.sums import sum_by_product

Formula = Callable[[Array, Array], Array]
Pads = Sequence[tuple[int, int]]

MOST_TAPS = 150  # of a depthwise window: the program grows with them
MOST_MERGED, MOST_CONVOLUTIONS = 16, 64  # see `merged_groups`


def _wide(x: Array) -> Array:
    """In the type that sums are made in."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _padded(x: Array, pads: Pads) -> Array:
    """With zeros before and after each spatial axis; a negative number cuts nothing."""
    every = [(0, 0, 0), *((max(a, 0), max(b, 0), 0) for a, b in pads), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), every) if any(map(any, every)) else x


def _pads(p: Problem) -> list[tuple[int, int]]:
    """Zeros before and after each axis of the source, fewer than none where its end is not seen."""
    axes = zip(p.source, p.target, p.window, p.stride, p.dilation, p.pad, strict=True)
    return [(low, (m - 1) * s + d * (k - 1) + 1 - n - low) for n, m, k, s, d, low in axes]


def _seen(x: Array, starts: Sequence[int], count: Sequence[int], stride: Sequence[int]) -> Array:
    """What `count` windows see of a padded map at one position within them."""
    ends = [a + s * (m - 1) + 1 for a, s, m in zip(starts, stride, count, strict=True)]
    return lax.slice(x, (0, *starts, 0), (len(x), *ends, x.shape[-1]), (1, *stride, 1))


def _taps(p: Problem) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Every position of the window, and where it begins in the padded map."""
    taps = itertools.product(*map(range, p.window))
    return [(tap, tuple(d * t for d, t in zip(p.dilation, tap, strict=True))) for tap in taps]


def _of_groups(x: Array, each: int) -> list[Array]:
    """A map [..., group * each] as `each` maps [..., group]; copied, since the loops over them would stride."""
    if each == 1:
        return [x]
    split = x.reshape(*x.shape[:-1], -1, each)
    return [lax.optimization_barrier(split[..., i]) for i in range(each)]


def _to_groups(parts: list[Array]) -> Array:
    """What `_of_groups` undoes."""
    return parts[0] if len(parts) == 1 else jnp.stack(parts, -1).reshape(*parts[0].shape[:-1], -1)


# Depthwise, and a few channels a group: the sum over the window of shifted maps times weights.


def _depthwise(p: Problem, x: Array, w: Array) -> Array:
    inputs = [_padded(_wide(part), _pads(p)) for part in _of_groups(x, w.shape[-2])]
    w = _wide(w)
    made = []
    for feature in range(w.shape[-1]):
        terms = [
            _seen(part, starts, p.target, p.stride) * w[(*tap, slice(None), channel, feature)]
            for tap, starts in _taps(p)
            for channel, part in enumerate(inputs)
        ]
        made.append(reduce(jnp.add, terms))
    return _to_groups(made)


def _depthwise_input_gradient(p: Problem, dy: Array, w: Array) -> Array:
    """Each phase of the strides apart, as the sum over those positions of the window that meet it; then interleaved."""
    gradients, w = [_wide(part) for part in _of_groups(dy, w.shape[-1])], _wide(w)
    axes = list(zip(p.source, p.window, p.stride, p.dilation, p.pad, strict=True))
    count = [-(-n // s) for n, _, s, _, _ in axes]
    made = []
    for channel in range(w.shape[-2]):
        phases = []
        for phase in itertools.product(*map(range, p.stride)):
            # Of every axis, the taps that meet the phase, and how far before its output a tap's gradient stands.
            met = [
                [(t, (r + low - d * t) // s) for t in range(k) if (r + low - d * t) % s == 0]
                for r, (_, k, s, d, low) in zip(phase, axes, strict=True)
            ]
            phases.append(_phase(gradients, w[..., channel, :], met, count))
        made.append(_interleaved(phases, p))
    return _to_groups(made)


def _phase(gradients: list[Array], w: Array, met: list[list[tuple[int, int]]], count: list[int]) -> Array:
    """The sum of shifted gradients times the weights [*window, group, feature] of the taps that are met."""
    space, groups = gradients[0].shape[1:-1], gradients[0].shape[-1]
    if not all(met):
        return jnp.zeros((len(gradients[0]), *count, groups), w.dtype)
    offsets = [[offset for _, offset in axis] for axis in met]
    low = [max(0, -min(axis)) for axis in offsets]
    high = [max(0, c - 1 + max(axis) - (m - 1)) for axis, c, m in zip(offsets, count, space, strict=True)]
    ones = (1,) * len(space)
    gradients = [_padded(part, list(zip(low, high, strict=True))) for part in gradients]
    terms = []
    for place in itertools.product(*met):
        starts = [offset + a for (_, offset), a in zip(place, low, strict=True)]
        tap = tuple(t for t, _ in place)
        for feature, part in enumerate(gradients):
            terms.append(_seen(part, starts, count, ones) * w[(*tap, slice(None), feature)])
    return reduce(jnp.add, terms)


def _interleaved(phases: list[Array], p: Problem) -> Array:
    """The map of the source's size that has the phases of the strides, the last axis' fastest."""
    if len(phases) == 1:
        return phases[0]
    axes = len(p.stride)
    batch, *count, channels = phases[0].shape
    made = jnp.stack(phases, 1).reshape(batch, *p.stride, *count, channels)
    order = [0, *(a for i in range(axes) for a in (1 + axes + i, 1 + i)), 1 + 2 * axes]
    made = made.transpose(order).reshape(batch, *(c * s for c, s in zip(count, p.stride, strict=True)), channels)
    return lax.slice(made, (0,) * made.ndim, (batch, *p.source, channels))


def _depthwise_weight_gradient(p: Problem, x: Array, dy: Array) -> Array:
    maps = [_padded(_wide(part), _pads(p)) for part in _of_groups(x, p.channels // p.groups)]
    gradients = [_wide(part) for part in _of_groups(dy, p.features // p.groups)]
    made = [
        sum_by_product(_seen(part, starts, p.target, p.stride) * gradient)
        for _, starts in _taps(p)
        for part in maps
        for gradient in gradients
    ]
    return jnp.moveaxis(jnp.stack(made).reshape(*p.window, len(maps), len(gradients), p.groups), -1, -3)


# 1x1: a product of matrices.


def _pointwise_weight_gradient(p: Problem, x: Array, dy: Array) -> Array:
    x = _seen(x, [0] * len(p.window), p.target, p.stride).reshape(-1, p.channels)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    over_places = (((0,), (0,)), ((), ()))
    made = lax.dot_general(x, dy.reshape(-1, p.features), over_places, preferred_element_type=wide)
    return made.reshape(*p.window, 1, p.channels, p.features)


# Grouped: convolutions of a few groups each.


def _runs(p: Problem, dtype: Any) -> list[slice]:
    """The groups in runs that one convolution does, of at least 16 channels where the type is a fast one.

    Float64 has no fast convolution: there the zeros between groups would cost what they are.
    """
    channels = p.channels // p.groups
    least = 1 if jnp.dtype(dtype) == jnp.float64 else -(-MOST_MERGED // channels)
    length = max(least, -(-p.groups // MOST_CONVOLUTIONS))
    return [slice(a, min(a + length, p.groups)) for a in range(0, p.groups, length)]


def _of_run(x: Array, run: slice, groups: int) -> Array:
    """A map's channels of some groups."""
    each = x.shape[-1] // groups
    return lax.slice_in_dim(x, run.start * each, run.stop * each, axis=x.ndim - 1)


def _block_diagonal(w: Array, run: slice) -> Array:
    """Weights [*window, channels, features] of some groups at once."""
    *window, _, channels, features = w.shape
    count = run.stop - run.start
    w = w[..., run, :, None, :]
    w = jnp.where(jnp.eye(count, dtype=bool)[:, None, :, None], w, 0)
    return w.reshape(*window, count * channels, count * features)


def _layout(axes: int) -> tuple[str, str, str]:
    space = "DHW"[3 - axes :]
    return f"N{space}C", f"{space}IO", f"N{space}C"


def _grouped(p: Problem, x: Array, w: Array) -> Array:
    made = [
        lax.conv_general_dilated(
            _of_run(x, run, p.groups),
            _block_diagonal(w, run),
            p.stride,
            _pads(p),
            rhs_dilation=p.dilation,
            dimension_numbers=_layout(len(p.window)),
        )
        for run in _runs(p, x.dtype)
    ]
    return lax.concatenate(made, x.ndim - 1)


def _grouped_input_gradient(p: Problem, dy: Array, w: Array) -> Array:
    axes = zip(p.source, p.target, p.window, p.stride, p.dilation, p.pad, strict=True)
    beside = [(d * (k - 1) - low, n - (m - 1) * s - 1 + low) for n, m, k, s, d, low in axes]
    w = jnp.swapaxes(lax.rev(w, range(len(p.window))), -1, -2)
    made = [
        lax.conv_general_dilated(
            _of_run(dy, run, p.groups),
            _block_diagonal(w, run),
            (1,) * len(p.window),
            beside,
            lhs_dilation=p.stride,
            rhs_dilation=p.dilation,
            dimension_numbers=_layout(len(p.window)),
        )
        for run in _runs(p, dy.dtype)
    ]
    return lax.concatenate(made, dy.ndim - 1)


def _grouped_weight_gradient(p: Problem, x: Array, dy: Array) -> Array:
    """Of the whole of each run's gradient, the blocks on the diagonal."""
    space = "DHW"[3 - len(p.window) :]
    made = []
    for run in _runs(p, x.dtype):
        whole = lax.conv_general_dilated(
            _of_run(x, run, p.groups),
            _of_run(dy, run, p.groups),
            p.dilation,
            _pads(p),
            rhs_dilation=p.stride,
            dimension_numbers=(f"C{space}N", f"I{space}O", f"{space}NC"),
        )
        count = run.stop - run.start
        whole = whole.reshape(*p.window, count, p.channels // p.groups, count, p.features // p.groups)
        made += [whole[..., i, :, i, :] for i in range(count)]
    return jnp.stack(made, -3)


Kind = Callable[[Problem, Array, Array], Array]
# By the kind of work: of (x, weights) to y, of (dy, weights) to dx, of (x, dy) to dweights.
DEPTHWISE: dict[int, Kind] = {
    FORWARD: _depthwise,
    INPUT_GRADIENT: _depthwise_input_gradient,
    WEIGHT_GRADIENT: _depthwise_weight_gradient,
}
POINTWISE: dict[int, Kind] = {WEIGHT_GRADIENT: _pointwise_weight_gradient}
GROUPED: dict[int, Kind] = {
    FORWARD: _grouped,
    INPUT_GRADIENT: _grouped_input_gradient,
    WEIGHT_GRADIENT: _grouped_weight_gradient,
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
