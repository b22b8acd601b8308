"""Windows of an example: at random in training, the centre in evaluation."""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax

from cnnlab.data.augment.boxes import clipped
from cnnlab.data.augment.sample import Sample, between, integers, uniform
from cnnlab.spec.augment import RandomResizedCrop
from cnnlab.spec.data import UNKNOWN

ATTEMPTS = 10  # at a window that lies inside, as torchvision has it


def random_crop(sample: Sample, keys: Array, size: tuple[int, ...], padding: int) -> Sample:
    """A window of `size`, every place equally likely, of the example with `padding` all round: 0, of masks 255."""
    room = jnp.array([n + 2 * padding - out for n, out in zip(sample.spatial, size, strict=True)])
    return crop_at(sample, integers(uniform(keys, len(size)), room + 1), size, padding)


def crop_at(sample: Sample, starts: Array, size: tuple[int, ...], padding: int) -> Sample:
    """The windows that begin at `starts` [batch, axis] of the example with its padding."""

    def window(values: Array, fill: int) -> Array:
        channels = values.shape[len(size) + 1 :]
        around = [(0, 0), *[(padding, padding)] * len(size), *[(0, 0)] * len(channels)]
        padded = jnp.pad(values, around, constant_values=fill)
        begin = jnp.pad(starts, ((0, 0), (0, len(channels))))
        return jax.vmap(lambda image, start: lax.dynamic_slice(image, start, (*size, *channels)))(padded, begin)

    mask = None if sample.mask is None else window(sample.mask, UNKNOWN)
    boxes = _boxes(sample.boxes, size, lambda ends: ends - (starts - padding)[:, None])
    return Sample(window(sample.x, 0), mask, boxes)


def centre_crop(sample: Sample, size: tuple[int, ...]) -> Sample:
    """The middle of `size`, which is no larger; what evaluation sees, and training at last."""
    if size == sample.spatial:
        return sample
    before = [round((n - out) / 2) for n, out in zip(sample.spatial, size, strict=True)]  # torchvision's rounding
    part = (slice(None), *(slice(start, start + out) for start, out in zip(before, size, strict=True)))
    mask = None if sample.mask is None else sample.mask[part]
    return Sample(sample.x[part], mask, _boxes(sample.boxes, size, lambda ends: ends - jnp.array(before)))


def random_resized_crop(sample: Sample, keys: Array, entry: RandomResizedCrop, size: tuple[int, ...]) -> Sample:
    """A window with a share of the image and a ratio of its own, resized to `size` (Szegedy et al. 2015)."""
    return resized_at(sample, *_windows(keys, entry, sample.spatial), size)


def _windows(keys: Array, entry: RandomResizedCrop, spatial: tuple[int, ...]) -> tuple[Array, Array]:
    """Starts and lengths, int32 [batch, axis], as torchvision draws them: the first of ten attempts that lies inside,
    else as much of the whole as the ratio allows. Every axis but the first has a ratio to it of its own."""
    axes, low, high = len(spatial), *(math.log(ratio) for ratio in entry.ratio)
    sizes = jnp.array(spatial)
    drawn = uniform(keys, ATTEMPTS + 1, axes)
    volume = between(drawn[:, 1:, :1], *entry.area) * math.prod(spatial)
    ratios = jnp.pad(between(drawn[:, 1:, 1:], low, high), ((0, 0), (0, 0), (1, 0)))
    shape = jnp.exp(ratios - ratios.mean(-1, keepdims=True))
    tried = jnp.round(volume ** (1 / axes) * shape).astype(jnp.int32)
    inside = ((tried > 0) & (tried <= sizes)).all(-1)
    first = jnp.take_along_axis(tried, inside.argmax(1)[:, None, None], 1)[:, 0]
    length = jnp.where(inside.any(1)[:, None], first, jnp.array(_largest(spatial, low, high)))
    start = integers(drawn[:, 0], sizes - length + 1)
    return jnp.where(inside.any(1)[:, None], start, (sizes - length) // 2), length


def _largest(spatial: tuple[int, ...], low: float, high: float) -> list[int]:
    """The largest window whose ratios to the first axis are allowed."""
    first = min([spatial[0], *(int(n / math.exp(low)) for n in spatial[1:])])
    return [first, *(min(n, round(first * math.exp(high))) for n in spatial[1:])]


def resized_at(sample: Sample, starts: Array, lengths: Array, size: tuple[int, ...]) -> Sample:
    """The windows of `lengths` from `starts` on, [batch, axis] each, resized: as Pillow's BILINEAR on the window."""
    x, axes = sample.x, range(len(size))
    for i in axes:
        weights = _weights(starts[:, i], lengths[:, i], sample.spatial[i], size[i])
        resized = jnp.einsum("bon,bn...->bo...", weights, jnp.moveaxis(x, i + 1, 1), precision="highest")
        x = jnp.moveaxis(resized, 1, i + 1)
    factors = jnp.array(size) / lengths
    mask = sample.mask
    if mask is not None:
        for i in axes:
            places = starts[:, i, None] + (2 * jnp.arange(size[i]) + 1) * lengths[:, i, None] // (2 * size[i])
            mask = jnp.take_along_axis(mask, jnp.expand_dims(places, [1 + j for j in axes if j != i]), i + 1)
    return Sample(x, mask, _boxes(sample.boxes, size, lambda ends: (ends - starts[:, None]) * factors[:, None]))


def _weights(start: Array, length: Array, size: int, wanted: int) -> Array:
    """Of each new pixel, the share of each old one along one axis: [batch, wanted, size]. A triangle as wide as
    two pixels, or two of the new ones where these are larger, cut off at the window's ends."""
    ratio = (length / wanted)[:, None, None]
    start, length = start[:, None, None], length[:, None, None]
    centre = start + (jnp.arange(wanted)[:, None] + 0.5) * ratio - 0.5
    places = jnp.arange(size)
    share = jnp.maximum(0, 1 - abs(places - centre) / jnp.maximum(ratio, 1))
    share = jnp.where((places >= start) & (places < start + length), share, 0)
    return share / share.sum(-1, keepdims=True)


def _boxes(boxes: Array | None, size: tuple[int, ...], new_ends: Callable[[Array], Array]) -> Array | None:
    """Boxes whose lows and highs [batch, object, axis] go to new places, of which none changes its side."""
    if boxes is None:
        return None
    axes = len(size)
    ends: Sequence[Array] = [new_ends(boxes[..., :axes]), new_ends(boxes[..., axes : 2 * axes])]
    return clipped(jnp.concatenate([*ends, boxes[..., 2 * axes :]], -1), size, boxes)
