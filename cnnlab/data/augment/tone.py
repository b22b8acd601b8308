"""Solarize, posterize, autocontrast, equalize and sharpness of images with values from 0 to 1, as Pillow has them."""

import jax
import jax.numpy as jnp
from jax import Array

from cnnlab.data.augment.sample import along


def levels(x: Array) -> Array:
    """Values from 0 to 1 as int32 from 0 to 255."""
    return jnp.round(x * 255).clip(0, 255).astype(jnp.int32)


def solarize(x: Array, thresholds: Array) -> Array:
    """Values from the thresholds [batch] on are inverted."""
    return jnp.where(x >= along(thresholds, x), 1 - x, x)


def posterize(x: Array, bits: Array) -> Array:
    """Only the highest bits of 8 are kept, [batch], int32."""
    return (levels(x) & along(256 - (1 << (8 - bits)), x)) / 255


def autocontrast(x: Array) -> Array:
    """Each channel stretched to the range from 0 to 1; one of a single value stays."""
    space = tuple(range(1, x.ndim - 1))
    low, high = x.min(space, keepdims=True), x.max(space, keepdims=True)
    return jnp.where(high > low, (x - low) / jnp.where(high > low, high - low, 1), x)


def equalize(x: Array) -> Array:
    """Each channel's values spread so that all of 256 levels are about as frequent."""
    batch, channels = len(x), x.shape[-1]
    values = jnp.moveaxis(levels(x), -1, 1).reshape(batch * channels, -1)
    spread = jax.vmap(_table)(values)
    found = jnp.take_along_axis(spread, values, 1) / 255
    return jnp.moveaxis(found.reshape(batch, channels, *x.shape[1:-1]), 1, -1)


def _table(values: Array) -> Array:
    """The new level of each of 256, by the rule of Pillow's ImageOps.equalize."""
    counts = jnp.zeros(256, jnp.int32).at[values].add(1)
    step = (values.size - counts[values.max()]) // 255
    before = jnp.cumsum(counts) - counts
    spread = jnp.minimum((step // 2 + before) // jnp.maximum(step, 1), 255)
    return jnp.where(step > 0, spread, jnp.arange(256))


def smooth(x: Array) -> Array:
    """Images under the 3x3 window of Pillow's SMOOTH, 1 and 5 in its middle over 13; the border as it is."""
    height, width = x.shape[1:3]
    parts = (x[:, i : i + height - 2, j : j + width - 2] for i in range(3) for j in range(3))
    inner = (sum(parts, 4 * x[:, 1:-1, 1:-1])) / 13
    return x.at[:, 1:-1, 1:-1].set(inner)
