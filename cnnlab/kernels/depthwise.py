"""Depthwise convolutions, and those of a few channels a group, as plain JAX: a sum over the window of shifted maps
times weights.

Maps are [batch, *space, channel], weights [*window, group, channel within its group, feature within its group].
"""

import itertools
from collections.abc import Sequence
from functools import reduce

import jax.numpy as jnp
from jax import Array, lax

from cnnlab.kernels.problem import Problem
from cnnlab.kernels.sums import sum_by_product

Pads = Sequence[tuple[int, int]]


def _wide(x: Array) -> Array:
    """In the type that sums are made in."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _padded(x: Array, pads: Pads) -> Array:
    """With zeros before and after each spatial axis; a negative number cuts nothing."""
    every = [(0, 0, 0), *((max(a, 0), max(b, 0), 0) for a, b in pads), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), every) if any(map(any, every)) else x


def pads(p: Problem) -> list[tuple[int, int]]:
    """Zeros before and after each axis of the source, fewer than none where its end is not seen."""
    axes = zip(p.source, p.target, p.window, p.stride, p.dilation, p.pad, strict=True)
    return [(low, (m - 1) * s + d * (k - 1) + 1 - n - low) for n, m, k, s, d, low in axes]


def seen(x: Array, starts: Sequence[int], count: Sequence[int], stride: Sequence[int]) -> Array:
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


def forward(p: Problem, x: Array, w: Array) -> Array:
    inputs = [_padded(_wide(part), pads(p)) for part in _of_groups(x, w.shape[-2])]
    w = _wide(w)
    made = []
    for feature in range(w.shape[-1]):
        terms = [
            seen(part, starts, p.target, p.stride) * w[(*tap, slice(None), channel, feature)]
            for tap, starts in _taps(p)
            for channel, part in enumerate(inputs)
        ]
        made.append(reduce(jnp.add, terms))
    return _to_groups(made)


def input_gradient(p: Problem, dy: Array, w: Array) -> Array:
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
            terms.append(seen(part, starts, count, ones) * w[(*tap, slice(None), feature)])
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


def weight_gradient(p: Problem, x: Array, dy: Array) -> Array:
    maps = [_padded(_wide(part), pads(p)) for part in _of_groups(x, p.channels // p.groups)]
    gradients = [_wide(part) for part in _of_groups(dy, p.features // p.groups)]
    made = [
        sum_by_product(seen(part, starts, p.target, p.stride) * gradient)
        for _, starts in _taps(p)
        for part in maps
        for gradient in gradients
    ]
    return jnp.moveaxis(jnp.stack(made).reshape(*p.window, len(maps), len(gradients), p.groups), -1, -3)
