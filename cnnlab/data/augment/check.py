"""Whether a spec's `augment` and `crop` fit the data, said before anything runs."""

from collections.abc import Sequence

import numpy as np

from cnnlab.data.resize import size_per_axis
from cnnlab.data.stored import StoredImages
from cnnlab.errors import SpecError
from cnnlab.spec.augment import Augmentation

_PIXELS = ("brightness", "contrast", "saturation", "hue", "rand_augment")
_PLANES = ("rotate", "shear")


def check_augmentations(
    entries: Sequence[Augmentation], x: np.ndarray | StoredImages, *, crop: tuple[int, ...] | None = None
) -> None:
    """SpecError where an entry does not fit the examples x [example, *spatial, channel].

    crop: what evaluation cuts out, which training has to end at.
    """
    *spatial, channels = x.shape[1:]
    size, cropped = tuple(spatial), False
    if crop is not None:
        _check_within(crop, size, "data.crop")
    for i, entry in enumerate(entries):
        where = f"data.augment[{i}]"
        if not spatial:
            _check_vectors(entry, where)
            continue
        _check_kind(entry, len(spatial), channels, where)
        if entry.word in _PIXELS:
            _check_pixels(entry, x, where)
        if entry.shift is not None and entry.shift >= min(size):
            message = f"shift: {entry.shift}, and the examples are {_by(size)}: nothing may be left of them"
            raise SpecError(message, where=where, hint=f"at most {min(size) - 1}")
        window = entry.cutout or entry.random_crop or entry.random_resized_crop
        if window is None:
            continue
        wanted = size_per_axis(window.size, len(size), f"{where}.{entry.word}")
        if entry.random_resized_crop is None:
            padding = 0 if entry.random_crop is None else entry.random_crop.padding
            _check_within(wanted, size, f"{where}: {entry.word}", padding)
        if entry.cutout is None:
            size, cropped = wanted, True
    final = crop or tuple(spatial)
    if cropped and size != final:
        message = f"training ends with examples of {_by(size)}, and evaluation sees {_by(final)}"
        raise SpecError(message, where="data.augment", hint=f"give data.crop: {list(size)}, or crop to {list(final)}")


def check_mixtures(entries: Sequence[Augmentation], target: str) -> None:
    """SpecError where the loss of a target, "class", "mask", "boxes" or another one, cannot be mixed as it would be."""
    for i, entry in enumerate(entries):
        if entry.cutmix is not None and target in ("mask", "boxes"):
            message = f"cutmix, and what is learnt is {target}, of which an area is no share"
            raise SpecError(message, where=f"data.augment[{i}]", hint="mixup mixes these too")


def _check_vectors(entry: Augmentation, where: str) -> None:
    if entry.noise is None and entry.mixup is None:
        message = f"{entry.word}, and the examples are vectors, which have no spatial axis"
        raise SpecError(message, where=where, hint="only noise and mixup fit vectors")


def _check_pixels(entry: Augmentation, x: np.ndarray | StoredImages, where: str) -> None:
    if x.dtype == np.uint8 or isinstance(x, StoredImages):
        return
    low, high = float(x.min()), float(x.max())
    if low < -0.001 or high > 1.001:  # resizing rounds
        message = f"{entry.word}, and the examples' values go from {low:.4g} to {high:.4g}"
        raise SpecError(message, where=where, hint="it is for uint8 images, or values from 0, black, to 1, white")


def _check_kind(entry: Augmentation, axes: int, channels: int, where: str) -> None:
    """That such examples can be changed so at all."""
    word = entry.word
    if word in _PLANES and axes < 2:
        message = f"{word}, and the examples have one spatial axis"
        raise SpecError(message, where=where, hint=f"{word} is for images and volumes")
    if word == "rand_augment" and axes != 2:
        message = f"rand_augment, and the examples have {axes} spatial axes"
        raise SpecError(message, where=where, hint="its operations are for images")
    if entry.flip in ("vertical", "both") and axes < 2:
        message = f"flip: {entry.flip}, and the examples have one spatial axis"
        raise SpecError(message, where=where, hint="flip: horizontal mirrors it")
    if word in ("saturation", "hue") and channels != 3:
        message = f"{word}, and the examples have {channels} channel{'s' * (channels != 1)}"
        raise SpecError(message, where=where, hint="it is for red, green and blue")
    if word == "rand_augment" and channels not in (1, 3):
        message = f"rand_augment, and the examples have {channels} channels"
        raise SpecError(message, where=where, hint="it is for grey and for coloured images")


def _check_within(wanted: tuple[int, ...], size: tuple[int, ...], where: str, padding: int = 0) -> None:
    if any(out > n + 2 * padding for out, n in zip(wanted, size, strict=True)):
        message = f"{_by(wanted)}, and the examples are {_by(tuple(n + 2 * padding for n in size))} there"
        raise SpecError(message, where=where, hint="it can be as large at most")


def _by(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
