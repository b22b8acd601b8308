"""Layers that change a map's size or form without weights: flatten and back, upsample."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from cnnlab.layers.conv import Map
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.pool import Pooled
from cnnlab.layers.windows import PerAxis, per_axis, spatial_axes


class Flatten(nnx.Module):
    """[batch, *space, channel] to [batch, everything], channels fastest.

    `grid` is the map's shape [*space, channel] where it is known: what follows has weights in this order.
    """

    def __init__(self, grid: tuple[int, ...] = ()):
        self.grid = grid

    def __call__(self, x: Float[Array, "batch ..."], mode: Mode = EVALUATION) -> Float[Array, "batch features"]:
        return x.reshape(x.shape[0], -1)


class Unflatten(nnx.Module):
    """[batch, features] to a map [batch, *shape], channels fastest: what Flatten undoes."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def __call__(
        self, x: Float[Array, "batch features"], mode: Mode = EVALUATION
    ) -> Float[Array, "batch *space channel"]:
        return x.reshape(x.shape[0], *self.shape)


class Upsample(nnx.Module):
    """`factor` times as many positions: each repeated, or bilinear between centres (half-pixel, edges held)."""

    def __init__(self, factor: PerAxis, *, axes: int, method: str = "nearest"):
        self.factor, self.method = per_axis(factor, axes, "factor"), method

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> Pooled:
        spatial_axes(x.shape)
        for axis, factor in enumerate(self.factor, start=1):
            x = jnp.repeat(x, factor, axis) if self.method == "nearest" else _linear(x, axis, factor)
        return x


def _linear(x: Array, axis: int, factor: int) -> Array:
    """`factor` times as many positions along an axis: each of a position's new ones between two old ones."""
    size = x.shape[axis]
    beside = [(1, 1) if i == axis else (0, 0) for i in range(x.ndim)]
    held = jnp.pad(x, beside, mode="edge")
    before, after = (jax.lax.slice_in_dim(held, i, i + size, axis=axis) for i in (0, 2))
    parts = []
    for phase in range(factor):
        offset = (phase + 0.5) / factor - 0.5  # of the new centre from the old one
        parts.append((1 - abs(offset)) * x + abs(offset) * (before if offset < 0 else after))
    return jnp.stack(parts, axis + 1).reshape(*x.shape[:axis], size * factor, *x.shape[axis + 1 :])
