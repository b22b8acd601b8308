"""What augmentation changes, and the keys that it draws from."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random

_STREAM = np.uint32(2**32 - 1)  # a step of training folds in its number, which never gets so high


class Sample(NamedTuple):
    """A batch with what moves along.

    x: float32 [batch, *spatial, channel], before normalisation: uint8 images in [0, 1].
    mask: uint8 [batch, *spatial], the class of each position, 255 where nothing is said; or None.
    boxes: float32 [batch, object, 2 * axes + 1], lows and highs per axis in pixels (the high edge not inside) and
        the class; rows of -1 fill up; or None.
    """

    x: Array
    mask: Array | None = None
    boxes: Array | None = None

    @property
    def spatial(self) -> tuple[int, ...]:
        return self.x.shape[1:-1]


def scale(x: Array) -> Array:
    """uint8 0..255 -> float32 0..1; float32 unchanged."""
    return x.astype(jnp.float32) / 255 if x.dtype == jnp.uint8 else x


def example_keys(seed: int, epoch: Array | int, index: Array) -> Array:
    """A key for each example [batch] from (seed, epoch, its place in the dataset): neither the order of a batch nor
    its size matters. epoch and index [batch] may be traced."""
    key = random.fold_in(random.fold_in(random.key(np.uint32(seed)), _STREAM), epoch)
    return jax.vmap(random.fold_in, (None, 0))(key, jnp.asarray(index))


def split(keys: Array, count: int) -> Array:
    """Other keys for each example: [count, batch]."""
    return jax.vmap(lambda key: random.split(key, count), out_axes=1)(keys)


def uniform(keys: Array, *shape: int) -> Array:
    """float32 [batch, *shape] from 0 to below 1, equally likely. One call for all that an entry draws: every one is a
    hundred instructions more to compile."""
    return jax.vmap(lambda key: random.uniform(key, shape))(keys)


def between(drawn: Array, low: float, high: float) -> Array:
    """What is drawn from 0 to 1, from `low` to `high`."""
    return low + (high - low) * drawn


def integers(drawn: Array, count: int | Array) -> Array:
    """What is drawn from 0 to 1, as int32 from 0 to below `count`, equally likely to one in 16 million."""
    return jnp.minimum((drawn * count).astype(jnp.int32), count - 1)


def along(values: Array, x: Array) -> Array:
    """Values [batch] with as many axes as x has, to be broadcast over it."""
    return values.reshape(-1, *[1] * (x.ndim - 1))
