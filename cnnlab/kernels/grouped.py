"""Grouped convolutions as plain JAX: several convolutions of a few groups each.

Maps are [batch, *space, channel], weights [*window, group, channel within its group, feature within its group].
"""

from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from cnnlab.kernels.depthwise import pads
from cnnlab.kernels.problem import Problem, layout

MOST_MERGED, MOST_CONVOLUTIONS = 16, 64  # channels that a convolution has at least, and convolutions at most


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


def forward(p: Problem, x: Array, w: Array) -> Array:
    made = [
        lax.conv_general_dilated(
            _of_run(x, run, p.groups),
            _block_diagonal(w, run),
            p.stride,
            pads(p),
            rhs_dilation=p.dilation,
            dimension_numbers=layout(len(p.window)),
        )
        for run in _runs(p, x.dtype)
    ]
    return lax.concatenate(made, x.ndim - 1)


def input_gradient(p: Problem, dy: Array, w: Array) -> Array:
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
            dimension_numbers=layout(len(p.window)),
        )
        for run in _runs(p, dy.dtype)
    ]
    return lax.concatenate(made, dy.ndim - 1)


def weight_gradient(p: Problem, x: Array, dy: Array) -> Array:
    """Of the whole of each run's gradient, the blocks on the diagonal."""
    space = "DHW"[3 - len(p.window) :]
    made = []
    for run in _runs(p, x.dtype):
        whole = lax.conv_general_dilated(
            _of_run(x, run, p.groups),
            _of_run(dy, run, p.groups),
            p.dilation,
            pads(p),
            rhs_dilation=p.stride,
            dimension_numbers=(f"C{space}N", f"I{space}O", f"{space}NC"),
        )
        count = run.stop - run.start
        whole = whole.reshape(*p.window, count, p.channels // p.groups, count, p.features // p.groups)
        made += [whole[..., i, :, i, :] for i in range(count)]
    return jnp.stack(made, -3)
