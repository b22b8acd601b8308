"""The centre that evaluation sees, where a spec's data has `crop`."""

from collections.abc import Mapping
from typing import Any, overload

import numpy as np

from cnnlab.data.resize import size_per_axis
from cnnlab.data.stored import StoredImages
from cnnlab.errors import SpecError
from cnnlab.spec.schema import Data


def crop_size(data: Data, spatial: tuple[int, ...]) -> tuple[int, ...] | None:
    """`data.crop` per axis, None without; SpecError where examples of the size `spatial` are smaller."""
    if data.crop is None:
        return None
    size = size_per_axis(data.crop, len(spatial), "data.crop")
    if any(wanted > n for wanted, n in zip(size, spatial, strict=True)):
        shown, there = (" x ".join(map(str, sizes)) for sizes in (size, spatial))
        message = f"data.crop is {shown}, and the examples are {there}"
        raise SpecError(message, hint="give a data.resize that is larger, or a smaller crop")
    return size


def cropped(description: Mapping[str, Any]) -> bool:
    """Whether a run, by its data.json, cuts the centre out; older ones say nothing of it."""
    return bool(description.get("evaluation", {}).get("crop"))


@overload
def centre(values: np.ndarray, size: tuple[int, ...] | None) -> np.ndarray: ...
@overload
def centre(values: np.ndarray | StoredImages, size: tuple[int, ...] | None) -> np.ndarray | StoredImages: ...
def centre(values: np.ndarray | StoredImages, size: tuple[int, ...] | None) -> np.ndarray | StoredImages:
    """The middle of values [example, *spatial, ...], without a copy; all of them where no size is given."""
    if size is None:
        return values
    # An odd surplus: half of it, rounded to even, comes before, as torchvision has it.
    before = [round((n - wanted) / 2) for n, wanted in zip(values.shape[1:], size, strict=False)]
    window = tuple(slice(b, b + wanted) for b, wanted in zip(before, size, strict=True))
    return values.part(window) if isinstance(values, StoredImages) else values[(slice(None), *window)]


def centred_target(
    values: np.ndarray, target: str, spatial: tuple[int, ...], size: tuple[int, ...] | None
) -> np.ndarray:
    """A target of examples of the size `spatial` as it is after the crop: masks are cut, boxes moved and clipped."""
    if size is None or target not in ("mask", "boxes"):
        return values
    if target == "mask":
        return centre(values, size)
    import jax.numpy as jnp  # boxes are clipped as training clips them

    from cnnlab.data.augment import Sample, centre_crop

    empty = np.zeros((len(values), *spatial, 0), np.float32)
    return np.asarray(centre_crop(Sample(jnp.asarray(empty), None, jnp.asarray(values)), size).boxes)
