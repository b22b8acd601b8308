"""Boxes that move: lows and highs per axis, and the class; rows of -1 fill up."""

from collections.abc import Callable
from itertools import product
from math import prod

import jax.numpy as jnp
from jax import Array

VISIBLE = 0.25  # the least share of its area that a box keeps; what shows less is no example of its class


def moved(boxes: Array, axes: int, new_place: Callable[[Array], Array]) -> Array:
    """The hulls of the boxes' corners, which `new_place` maps: [batch, object * corner, axis] -> the same shape."""
    ends = boxes[..., : 2 * axes].reshape(*boxes.shape[:-1], 2, axes)
    corners = jnp.stack([jnp.stack([ends[..., e, i] for i, e in enumerate(pick)], -1) for pick in _corners(axes)], -2)
    batch, objects = boxes.shape[:2]
    there = new_place(corners.reshape(batch, -1, axes)).reshape(batch, objects, -1, axes)
    return jnp.concatenate([there.min(-2), there.max(-2), boxes[..., 2 * axes :]], -1)


def _corners(axes: int) -> list[tuple[int, ...]]:
    return list(product((0, 1), repeat=axes))


def clipped(boxes: Array, spatial: tuple[int, ...], before: Array) -> Array:
    """The boxes inside of an image of the size `spatial`; -1 where they are nearly gone, or were -1 `before`."""
    axes = len(spatial)
    size = jnp.array(spatial, boxes.dtype)
    low, high = boxes[..., :axes], boxes[..., axes : 2 * axes]
    inside = [low.clip(0, size), high.clip(0, size)]
    whole, left = (_area(*ends) for ends in ((low, high), inside))
    kept = (before[..., -1] >= 0) & (left > 0) & (left >= VISIBLE * whole)
    return jnp.where(kept[..., None], jnp.concatenate([*inside, boxes[..., 2 * axes :]], -1), -1)


def _area(low: Array, high: Array) -> Array:
    return prod(high[..., i] - low[..., i] for i in range(low.shape[-1]))  # type: ignore[return-value]
