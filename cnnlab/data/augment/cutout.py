"""Black squares (DeVries and Taylor 2017), and the windows that they share with cutmix."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array

from cnnlab.data.augment.sample import along, integers, uniform


def cutout(x: Array, keys: Array, size: Sequence[int], probability: float) -> Array:
    """A window of `size` is 0, with its middle anywhere in the image: at the border less of it is inside."""
    drawn = uniform(keys, 1 + len(size))
    inside = window(drawn[:, 1:], x.shape[1:-1], jnp.array([size]))
    return jnp.where(along(drawn[:, 0] < probability, x) & inside[..., None], 0, x)


def window(drawn: Array, spatial: tuple[int, ...], sizes: Array) -> Array:
    """bool [batch, *spatial], True inside a window of the sizes [batch, axis] (int32), whose middle is any pixel,
    equally likely; drawn: [batch, axis], from 0 to 1."""
    axes = len(spatial)
    start = integers(drawn, jnp.array(spatial)) - sizes // 2
    inside = jnp.ones((), bool)
    for i, size in enumerate(spatial):
        place = jnp.arange(size).reshape([-1 if i == j else 1 for j in range(axes)])
        low, high = (ends[:, i].reshape(-1, *[1] * axes) for ends in (start, start + sizes))
        inside = inside & (place >= low) & (place < high)
    return inside
