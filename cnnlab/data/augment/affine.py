"""Flip, shift, rotate, scale and shear: maps of space, composed to one and resampled once."""

import math
from collections.abc import Sequence
from itertools import permutations
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from cnnlab.data.augment.boxes import clipped, moved
from cnnlab.data.augment.crop import crop_at
from cnnlab.data.augment.resample import grid, linear, nearest
from cnnlab.data.augment.sample import Sample, along, between, integers, uniform
from cnnlab.spec.augment import Augmentation
from cnnlab.spec.data import UNKNOWN

WORDS = ("shift", "rotate", "flip", "scale", "shear")
FLIPPED = {"horizontal": (-1,), "vertical": (-2,), "both": (-1, -2)}  # spatial axes


class Affine(NamedTuple):
    """Where the content of each place comes from, both counted from the middle: matrix @ place + offset.

    matrix: [batch, axis, axis]; offset: [batch, axis].
    """

    matrix: Array
    offset: Array

    def then(self, later: "Affine") -> "Affine":
        """This map, and the `later` one on what it has made."""
        matrix = jnp.einsum("bij,bjk->bik", self.matrix, later.matrix, precision="highest")
        offset = jnp.einsum("bij,bj->bi", self.matrix, later.offset, precision="highest")
        return Affine(matrix, offset + self.offset)


def move(sample: Sample, keys: Sequence[Array], entries: Sequence[Augmentation]) -> Sample:
    """All these entries as one map; keys: [batch] for each of them. What comes in from outside is 0, of masks 255.

    Whole pixels alone, shifts and flips, are moved as they are.
    """
    axes = len(sample.spatial)
    if all(entry.shift is not None or entry.flip is not None for entry in entries):
        for own, entry in zip(keys, entries, strict=True):
            if entry.shift is not None:
                starts = entry.shift - _offsets(own, entry.shift, axes)
                sample = crop_at(sample, starts, sample.spatial, entry.shift)
            elif entry.flip is not None:
                sample = flipped(sample, _mirrored(own, entry.flip, axes))
        return sample
    one, *more = (_affine(own, entry, axes) for own, entry in zip(keys, entries, strict=True))
    for later in more:
        one = one.then(later)
    return resampled(sample, one)


def _affine(keys: Array, entry: Augmentation, axes: int) -> Affine:
    if entry.shift is not None:
        return shifted(_offsets(keys, entry.shift, axes).astype(jnp.float32))
    if entry.rotate is not None:
        return turned(uniform(keys, 3), entry.rotate, axes)
    if entry.flip is not None:
        return _linear(jnp.eye(axes) * jnp.where(_mirrored(keys, entry.flip, axes), -1, 1)[:, None, :])
    if entry.scale is not None:
        low, high = (math.log(factor) for factor in entry.scale)
        return scaled(jnp.exp(between(uniform(keys), low, high)), axes)
    assert entry.shear is not None
    return sheared(between(uniform(keys, axes * (axes - 1)), -entry.shear, entry.shear), axes)


def _offsets(keys: Array, pixels: int, axes: int) -> Array:
    return integers(uniform(keys, axes), 2 * pixels + 1) - pixels


def _linear(matrix: Array) -> Affine:
    return Affine(matrix, jnp.zeros(matrix.shape[:2]))


def shifted(offsets: Array) -> Affine:
    """The content moves by the offsets [batch, axis]."""
    batch, axes = offsets.shape
    return Affine(jnp.broadcast_to(jnp.eye(axes), (batch, axes, axes)), -offsets)


def scaled(factors: Array, axes: int) -> Affine:
    """The content grows by the factors [batch]."""
    return _linear(jnp.eye(axes) / along(factors, jnp.zeros((1, 1, 1))))


def sheared(degrees: Array, axes: int) -> Affine:
    """Each axis along each other one, in their order, by an angle of its own: [batch, pair of axes]."""
    affine = _linear(jnp.broadcast_to(jnp.eye(axes), (len(degrees), axes, axes)))
    for k, (i, j) in enumerate(permutations(range(axes), 2)):
        step = jnp.zeros((axes, axes)).at[i, j].set(1)
        affine = affine.then(_linear(jnp.eye(axes) - jnp.tan(jnp.deg2rad(degrees[:, k]))[:, None, None] * step))
    return affine


def turned(drawn: Array, largest: float, axes: int) -> Affine:
    """By an angle up to the largest, in degrees: images in their plane, volumes about a direction that is drawn too.

    drawn: [batch, 3], from 0 to 1.
    """
    degrees, height, way = between(drawn.T, -1, 1)
    if axes == 2:
        return turned_by(largest * degrees)
    # Of a point on the sphere, every one equally likely.
    round_it, radius = jnp.pi * way, jnp.sqrt(1 - height**2)
    direction = jnp.stack([height, radius * jnp.cos(round_it), radius * jnp.sin(round_it)], -1)
    return about(direction, largest * degrees)


def turned_by(degrees: Array) -> Affine:
    """Images by the angles [batch], counter-clockwise as seen."""
    cos, sin = jnp.cos(jnp.deg2rad(degrees)), jnp.sin(jnp.deg2rad(degrees))
    return _linear(jnp.stack([jnp.stack([cos, sin], -1), jnp.stack([-sin, cos], -1)], -2))


def about(direction: Array, degrees: Array) -> Affine:
    """Volumes by the angles [batch] about the directions [batch, 3] of length 1 (Rodrigues' formula)."""
    cos, sin = jnp.cos(jnp.deg2rad(degrees)), jnp.sin(jnp.deg2rad(degrees))
    a, b, c = direction.T
    zero = jnp.zeros_like(a)
    cross = jnp.stack([jnp.stack(row, -1) for row in ((zero, -c, b), (c, zero, -a), (-b, a, zero))], -2)
    outer = direction[:, :, None] * direction[:, None, :]
    turn = along(cos, outer) * jnp.eye(3) + along(sin, outer) * cross + along(1 - cos, outer) * outer
    return _linear(turn.swapaxes(-1, -2))  # the way back


def resampled(sample: Sample, affine: Affine) -> Sample:
    """The sample moved by the map: x linear, the mask nearest, of boxes the hulls of their corners."""
    spatial, axes = sample.spatial, range(len(sample.spatial))
    places = grid(spatial)
    matrix = affine.matrix.reshape(*affine.matrix.shape, *[1] * len(spatial))
    offset = affine.offset.reshape(*affine.offset.shape, *[1] * len(spatial))
    middle = [(n - 1) / 2 for n in spatial]
    sources = [sum(matrix[:, i, j] * places[j] for j in axes) + offset[:, i] + middle[i] for i in axes]
    sources = [jnp.broadcast_to(source, (len(sample.x), *spatial)) for source in sources]
    mask = None if sample.mask is None else nearest(sample.mask, sources, UNKNOWN)
    boxes = None if sample.boxes is None else _moved_boxes(sample.boxes, affine, spatial)
    return Sample(linear(sample.x, sources), mask, boxes)


def _moved_boxes(boxes: Array, affine: Affine, spatial: tuple[int, ...]) -> Array:
    # A pixel reaches from its number to the next: the middle of the image is at half its size.
    back, middle = jnp.linalg.inv(affine.matrix), jnp.array(spatial) / 2

    def new_place(corners: Array) -> Array:
        from_middle = corners - middle - affine.offset[:, None]
        return jnp.einsum("bij,bpj->bpi", back, from_middle, precision="highest") + middle

    return clipped(moved(boxes, len(spatial), new_place), spatial, boxes)


def _mirrored(keys: Array, flip: str, axes: int) -> Array:
    """bool [batch, axis]: which axes are mirrored, each of those that `flip` names with probability 1/2."""
    named = jnp.array([axis - axes in FLIPPED[flip] for axis in range(axes)])
    return (uniform(keys, axes) < 0.5) & named


def flipped(sample: Sample, mirrored: Array) -> Sample:
    """Each example mirrored along the axes where `mirrored` [batch, axis] is True."""
    x, mask, boxes = sample
    axes = len(sample.spatial)
    for axis, size in enumerate(sample.spatial):
        here = mirrored[:, axis]
        x = jnp.where(along(here, x), jnp.flip(x, axis + 1), x)
        if mask is not None:
            mask = jnp.where(along(here, mask), jnp.flip(mask, axis + 1), mask)
        if boxes is not None:
            low, high = size - boxes[..., axes + axis], size - boxes[..., axis]
            other = boxes.at[..., axis].set(low).at[..., axes + axis].set(high)
            boxes = jnp.where(along(here, boxes) & (boxes[..., -1:] >= 0), other, boxes)
    return Sample(x, mask, boxes)
