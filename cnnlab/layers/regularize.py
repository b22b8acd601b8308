"""Layers that only training knows."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from cnnlab.layers.mode import EVALUATION, Mode


class Dropout(nnx.Module):
    """Srivastava et al. 2014, inverted: in training an element is 0 with probability `rate`, else x / (1 - rate)."""

    def __init__(self, rate: float):
        self.rate = rate

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        if not mode.train or self.rate == 0:
            return x
        if mode.key is None:
            raise ValueError("dropout in training needs Mode(train=True, key=...)")
        keep = jax.random.bernoulli(mode.key, 1 - self.rate, x.shape)
        return jnp.where(keep, x / (1 - self.rate), 0)
