"""Gaussian noise."""

import jax
import numpy as np
from jax import Array, random


def noise(x: Array, keys: Array, deviation: float, std: Array | np.ndarray) -> Array:
    """Normal noise added to every value, of `deviation` times the data's own deviation, std [channel]."""
    return x + deviation * std * jax.vmap(lambda key: random.normal(key, x.shape[1:], x.dtype))(keys)
