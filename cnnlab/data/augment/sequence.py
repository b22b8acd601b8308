"""All entries of a spec's `augment`, in their order."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from jax import Array

from cnnlab.data.augment import affine
from cnnlab.data.augment.blur import blur
from cnnlab.data.augment.colour import colour
from cnnlab.data.augment.crop import random_crop, random_resized_crop
from cnnlab.data.augment.cutout import cutout
from cnnlab.data.augment.noise import noise
from cnnlab.data.augment.rand_augment import rand_augment
from cnnlab.data.augment.sample import Sample, split
from cnnlab.data.resize import size_per_axis
from cnnlab.spec.augment import Augmentation


def augment(sample: Sample, keys: Array, entries: Sequence[Augmentation], std: Array | np.ndarray) -> Sample:
    """Every entry but mixup and cutmix, which `mix` does, each with keys of its own; keys: [batch], std: [channel] of
    the data. Neighbours that map space are one resampling."""
    if not entries:
        return sample
    every = split(keys, len(entries))
    groups = groupby(enumerate(entries), lambda numbered: numbered[1].word in affine.WORDS)
    for maps_space, group in groups:
        numbers, members = zip(*group, strict=True)
        own = [every[number] for number in numbers]
        if maps_space:
            sample = affine.move(sample, own, members)
            continue
        for key, entry in zip(own, members, strict=True):
            sample = _one(sample, key, entry, std)
    return sample


def _one(sample: Sample, keys: Array, entry: Augmentation, std: Array | np.ndarray) -> Sample:
    axes = len(sample.spatial)
    match entry.word:
        case "random_crop":
            assert entry.random_crop is not None
            crop = entry.random_crop
            return random_crop(sample, keys, size_per_axis(crop.size, axes), crop.padding)
        case "random_resized_crop":
            assert entry.random_resized_crop is not None
            crop = entry.random_resized_crop
            return random_resized_crop(sample, keys, crop, size_per_axis(crop.size, axes))
        case "rand_augment":
            assert entry.rand_augment is not None
            return rand_augment(sample, keys, entry.rand_augment)
        case "mixup" | "cutmix":
            return sample
    return sample._replace(x=_values(sample.x, keys, entry, std))


def _values(x: Array, keys: Array, entry: Augmentation, std: Array | np.ndarray) -> Array:
    """The entries that change values and move nothing."""
    if entry.noise is not None:
        return noise(x, keys, entry.noise, std)
    if entry.blur is not None:
        return blur(x, keys, entry.blur)
    if entry.cutout is not None:
        return cutout(x, keys, size_per_axis(entry.cutout.size, x.ndim - 2), entry.cutout.probability)
    return colour(x, keys, entry)
