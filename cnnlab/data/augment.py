"""Augmentation on the accelerator: pure functions of one batch and a key.

x is float32 [batch, *spatial, channel] before normalisation (uint8 images in [0, 1]), so that what comes in
from outside, 0, is black. Every example of a batch has its own draw.
"""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax, random

from cnnlab.errors import SpecError
from cnnlab.spec.augment import Augmentation


def scale(x: Array) -> Array:
    """uint8 0..255 -> float32 0..1; float32 unchanged."""
    return x.astype(jnp.float32) / 255 if x.dtype == jnp.uint8 else x


def augment(x: Array, key: Array, augmentations: Sequence[Augmentation], std: Array | np.ndarray) -> Array:
    """All entries of a spec's `augment` in their order, each with a key of its own. std: [channel], of the data."""
    for i, entry in enumerate(augmentations):
        own = random.fold_in(key, i)
        if entry.shift is not None:
            x = shift(x, own, entry.shift)
        elif entry.rotate is not None:
            x = rotate(x, own, entry.rotate)
        elif entry.flip is not None:
            x = flip(x, own, entry.flip)
        elif entry.noise is not None:
            x = noise(x, own, entry.noise, std)
    return x


def shift(x: Array, key: Array, pixels: int) -> Array:
    """Moved by whole pixels from -pixels to pixels, equally likely, along every spatial axis; 0 comes in."""
    offsets = random.randint(key, (x.shape[0], x.ndim - 2), -pixels, pixels + 1)
    return shift_by(x, offsets, pixels)


def shift_by(x: Array, offsets: Array, pixels: int) -> Array:
    """Each example moved by its offsets [batch, axis], none beyond +-pixels: out[i] = x[i - offset], or 0."""
    spatial = x.shape[1:-1]
    padded = jnp.pad(x, [(0, 0), *[(pixels, pixels)] * len(spatial), (0, 0)])
    starts = jnp.pad(pixels - offsets, ((0, 0), (0, 1)))  # the channel axis starts at 0
    return jax.vmap(lambda image, start: lax.dynamic_slice(image, start, x.shape[1:]))(padded, starts)


def rotate(x: Array, key: Array, degrees: float) -> Array:
    """Turned about the centre by an angle from -degrees to degrees, bilinear; 0 comes in. Images only."""
    return rotate_by(x, random.uniform(key, x.shape[:1], minval=-degrees, maxval=degrees))


def rotate_by(x: Array, angles: Array) -> Array:
    """Images [batch, height, width, channel] turned by angles [batch] in degrees, counter-clockwise as seen."""
    batch, height, width, channels = x.shape
    cos, sin = (f(jnp.deg2rad(angles))[:, None, None] for f in (jnp.cos, jnp.sin))
    rows = (jnp.arange(height) - (height - 1) / 2)[None, :, None]
    columns = (jnp.arange(width) - (width - 1) / 2)[None, None, :]
    # Where each new pixel comes from, in the image with a border of zeros: 1 before, 2 after.
    row = (cos * rows + sin * columns + (height + 1) / 2).clip(0, height + 1)
    column = (cos * columns - sin * rows + (width + 1) / 2).clip(0, width + 1)
    top, left = jnp.floor(row), jnp.floor(column)
    lower, right = (row - top)[..., None], (column - left)[..., None]
    line = width + 3
    flat = jnp.pad(x, ((0, 0), (1, 2), (1, 2), (0, 0))).reshape(batch, -1, channels)
    corner = (top.astype(jnp.int32) * line + left.astype(jnp.int32)).reshape(batch, -1)

    def pixels(beyond: int) -> Array:
        gather = jax.vmap(lambda image, index: image.at[index].get(mode="promise_in_bounds"))
        return gather(flat, corner + beyond).reshape(x.shape)

    above = (1 - right) * pixels(0) + right * pixels(1)
    below = (1 - right) * pixels(line) + right * pixels(line + 1)
    return (1 - lower) * above + lower * below


def flip(x: Array, key: Array, axes: Literal["horizontal", "vertical", "both"]) -> Array:
    """Mirrored with probability 1/2 left to right, top to bottom, or each of both on its own."""
    chosen = {"horizontal": (-2,), "vertical": (-3,), "both": (-2, -3)}[axes]
    for i, axis in enumerate(chosen):
        mirrored = random.bernoulli(random.fold_in(key, i), shape=(x.shape[0],) + (1,) * (x.ndim - 1))
        x = jnp.where(mirrored, jnp.flip(x, axis), x)
    return x


def noise(x: Array, key: Array, deviation: float, std: Array | np.ndarray) -> Array:
    """Normal noise added to every value, of `deviation` times the data's own deviation, std [channel]."""
    return x + deviation * std * random.normal(key, x.shape, x.dtype)


def check_augmentations(augmentations: Sequence[Augmentation], spatial: tuple[int, ...]) -> None:
    """SpecError where an entry does not fit examples of the size `spatial` (empty for vectors)."""
    for i, entry in enumerate(augmentations):
        where = f"data.augment[{i}]"
        if entry.noise is not None:
            continue
        size = " x ".join(map(str, spatial))
        if not spatial:
            word = next(iter(entry.model_dump(exclude_none=True)))
            message = f"{word}, and the examples are vectors, which have no spatial axis"
            raise SpecError(message, where=where, hint="only noise fits vectors")
        if entry.rotate is not None and len(spatial) != 2:
            message = f"rotate, and the examples have {len(spatial)} spatial axes ({size})"
            raise SpecError(message, where=where, hint="rotate turns images, with 2 axes")
        if entry.flip in ("vertical", "both") and len(spatial) < 2:
            message = f"flip: {entry.flip}, and the examples have one spatial axis ({size})"
            raise SpecError(message, where=where, hint="flip: horizontal mirrors it")
        if entry.shift is not None and entry.shift >= min(spatial):
            message = f"shift: {entry.shift}, and the examples are {size}: nothing may be left of them"
            raise SpecError(message, where=where, hint=f"at most {min(spatial) - 1}")
