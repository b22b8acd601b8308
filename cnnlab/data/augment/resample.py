"""Values between pixels: from any coordinates, linear for images and the nearest for masks."""

from collections.abc import Sequence
from math import prod

import jax
import jax.numpy as jnp
from jax import Array


def linear(x: Array, coordinates: Sequence[Array]) -> Array:
    """x [batch, *spatial, channel] at the coordinates of its pixels' centres, for each axis [batch, *out].

    [batch, *out, channel], interpolated along every axis, with 0 all round x: SciPy's order=1, "grid-constant".
    """
    batch, *spatial, channels = x.shape
    # With a border of zeros, 1 before and 2 after, there is a neighbour to both sides of every clipped coordinate.
    flat = jnp.pad(x, ((0, 0), *[(1, 2)] * len(spatial), (0, 0))).reshape(batch, -1, channels)
    lines = [prod(n + 3 for n in spatial[i + 1 :]) for i in range(len(spatial))]
    corner, parts = jnp.zeros((), jnp.int32), []
    for place, size, line in zip(coordinates, spatial, lines, strict=True):
        clipped = (place + 1).clip(0, size + 1)
        below = jnp.floor(clipped)
        corner = corner + below.astype(jnp.int32) * line
        parts.append((clipped - below)[..., None])

    def between(axis: int, beyond: int) -> Array:
        if axis == len(parts):
            return _gather(flat, corner + beyond)
        low, high = (between(axis + 1, beyond + step) for step in (0, lines[axis]))
        return (1 - parts[axis]) * low + parts[axis] * high

    return between(0, 0)


def nearest(mask: Array, coordinates: Sequence[Array], fill: int) -> Array:
    """mask [batch, *spatial] at the nearest pixel to the coordinates, for each axis [batch, *out]; `fill` outside."""
    batch, *spatial = mask.shape
    flat = jnp.pad(mask, ((0, 0), *[(1, 1)] * len(spatial)), constant_values=fill).reshape(batch, -1, 1)
    index = jnp.zeros((), jnp.int32)
    for place, size in zip(coordinates, spatial, strict=True):
        index = index * (size + 2) + jnp.floor(place + 1.5).clip(0, size + 1).astype(jnp.int32)
    return _gather(flat, index)[..., 0]


def _gather(flat: Array, index: Array) -> Array:
    """flat [batch, pixel, channel] at the indices [batch, *out], which are all inside: [batch, *out, channel]."""
    at = jax.vmap(lambda image, places: image.at[places].get(mode="promise_in_bounds"))
    return at(flat, index.reshape(len(flat), -1)).reshape(*index.shape, flat.shape[-1])


def grid(spatial: Sequence[int]) -> list[Array]:
    """For each axis, its places as seen from the middle, to be broadcast: [1, ..., size, ...]."""
    axes = len(spatial)
    ways = [jnp.arange(n, dtype=jnp.float32) - (n - 1) / 2 for n in spatial]
    return [way.reshape([1, *(-1 if i == j else 1 for j in range(axes))]) for i, way in enumerate(ways)]
