"""Gaussian blur with a width for each example."""

import math

import jax.numpy as jnp
from jax import Array

from cnnlab.data.augment.sample import along, uniform
from cnnlab.spec.augment import Blur

REACH = 3  # deviations; beyond lie 0.3 % of the weight


def blur(x: Array, keys: Array, entry: Blur) -> Array:
    """Blurred by a deviation up to the entry's, in pixels, with its probability."""
    amount, decides = uniform(keys, 2).T
    deviations = jnp.where(decides < entry.probability, amount * entry.deviation, 0)
    return blurred(x, deviations, math.ceil(REACH * entry.deviation))


def blurred(x: Array, deviations: Array, radius: int) -> Array:
    """Along each axis the mean over `radius` pixels to both sides, weighted by exp(-d^2 / (2 deviation^2)).

    deviations: [batch], 0 leaves an example as it is. Beyond the border stands the nearest pixel.
    """
    away = jnp.arange(-radius, radius + 1, dtype=jnp.float32)
    weights = jnp.exp(-0.5 * (away / jnp.maximum(deviations, 1e-3)[:, None]) ** 2)
    weights /= weights.sum(-1, keepdims=True)
    for axis in range(1, x.ndim - 1):
        size = x.shape[axis]
        padded = jnp.pad(x, [(radius, radius) if i == axis else (0, 0) for i in range(x.ndim)], mode="edge")
        shifted = (padded[(slice(None),) * axis + (slice(i, i + size),)] for i in range(2 * radius + 1))
        x = sum((along(weights[:, i], x) * part for i, part in enumerate(shifted)), jnp.zeros_like(x))
    return x
