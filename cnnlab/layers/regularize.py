"""Layers that only training knows: parts of a map are dropped, the rest grows to the same mean."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from cnnlab.layers.mode import EVALUATION, Mode


class Dropout(nnx.Module):
    """Srivastava et al. 2014, inverted: in training an element is 0 with probability `rate`, else x / (1 - rate)."""

    def __init__(self, rate: float):
        self.rate = rate

    def drawn(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the draws; an axis of 1 is kept or dropped as a whole."""
        return shape

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        if not mode.train or self.rate == 0:
            return x
        if mode.key is None:
            raise ValueError("dropout in training needs Mode(train=True, key=...)")
        keep = jax.random.bernoulli(mode.key, 1 - self.rate, self.drawn(x.shape))
        return jnp.where(keep, x / (1 - self.rate), 0)


class SpatialDropout(Dropout):
    """Whole channels of a map are dropped (Tompson et al. 2015, section 3.2)."""

    def drawn(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0], *(1 for _ in shape[1:-1]), shape[-1])


class StochasticDepth(Dropout):
    """Whole examples are dropped: at the end of a residual body, the block is skipped (Huang et al. 2016, eq. 2)."""

    def drawn(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0], *(1 for _ in shape[1:]))
