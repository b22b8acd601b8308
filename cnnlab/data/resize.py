"""Resizing arrays of any number of spatial axes, in the way Pillow resizes images."""

from functools import cache
from math import prod

import numpy as np

from cnnlab.errors import SpecError

BATCH_BYTES = 2**26  # of float32 in and out of one call


def size_per_axis(resize: int | tuple[int, ...], axes: int, key: str = "data.resize") -> tuple[int, ...]:
    """The size of each of `axes` spatial axes that a spec's `key` asks for; SpecError where they differ."""
    if axes == 0:
        message = f"{key} is {resize}, and the examples are vectors, which have no spatial axis"
        raise SpecError(message, hint=f"leave {key} out")
    if isinstance(resize, int):
        return (resize,) * axes
    if len(resize) != axes:
        message = f"{key} has {len(resize)} numbers, {list(resize)}, and the data {axes} spatial axes"
        raise SpecError(message, hint="give one number for all axes, or one per axis")
    return tuple(resize)


def resize(x: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """x [example, *spatial, channel] -> [example, *size, channel] of the same dtype, uint8 rounded.

    Linear interpolation, and averaging over the triangle of the new pixel's width where it shrinks:
    Pillow's BILINEAR to one level of 255. In batches of one shape, so that memory stays bounded.
    """
    examples, *spatial, channels = x.shape
    rows = max(1, min(examples, BATCH_BYTES // (4 * channels * (prod(spatial) + prod(size)))))
    resized = np.empty((examples, *size, channels), x.dtype)
    for start in range(0, examples, rows):
        part = x[start : start + rows]
        short = rows - len(part)
        padded = np.pad(part, [(0, short)] + [(0, 0)] * (x.ndim - 1)) if short else part
        resized[start : start + rows] = np.asarray(_resizer(size)(padded))[: len(part)]
    return resized


@cache
def _resizer(size: tuple[int, ...]):
    import jax
    import jax.numpy as jnp

    @jax.jit
    def resize_batch(x):
        shape = (x.shape[0], *size, x.shape[-1])
        resized = jax.image.resize(x.astype(jnp.float32), shape, "linear", antialias=True)
        return jnp.round(resized).clip(0, 255).astype(jnp.uint8) if x.dtype == jnp.uint8 else resized

    return resize_batch
