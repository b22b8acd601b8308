"""Files to predict: images and arrays, brought into the form that a run was trained on."""

from pathlib import Path

import numpy as np

from cnnlab.data.images import decode, is_image
from cnnlab.data.npz import read_array
from cnnlab.data.resize import resize
from cnnlab.errors import DataError

ARRAYS = (".npy", ".npz")


def read_inputs(path: Path, input_shape: tuple[int, ...], *, pixels: bool) -> np.ndarray:
    """The examples of one file, [example, *space, channel], of `input_shape`; uint8 counts as 0..1.

    An image is one example; .npy and .npz (`x`) hold a batch, or a single example without the batch axis.
    `pixels` says that the run was trained on values from 0 to 1, which is what an image gives.
    Raises DataError where the file is no such thing or does not fit.
    """
    where = str(path)
    if not path.is_file():
        raise DataError("no such file", where=where, hint="name images, .npy or .npz files")
    if path.suffix.lower() in ARRAYS:
        return _fitted(read_array(path), input_shape, where)
    if not is_image(path.name):
        raise DataError(
            f"'{path.suffix}' is neither an image nor an array", where=where, hint="name .png, .jpg or .npy"
        )
    if len(input_shape) != 3 or input_shape[-1] not in (1, 3) or not pixels:
        kind = "x".join(map(str, input_shape)) + ("" if pixels else " of values that are no pixels from 0 to 255")
        raise DataError(f"an image, and the run was trained on {kind}", where=where, hint="give .npy or .npz arrays")
    height, width, channels = input_shape
    return decode(path, channels, (height, width))[None]


def _fitted(x: np.ndarray, input_shape: tuple[int, ...], where: str) -> np.ndarray:
    axes = len(input_shape) - 1
    single = x.ndim in (axes, axes + 1) and x.shape in (input_shape, input_shape[:-1])
    batch = x[None] if single else x
    if axes and batch.ndim == 1 + axes:
        batch = batch[..., None]
    if batch.ndim != 2 + axes or batch.shape[-1] != input_shape[-1] or 0 in batch.shape:
        wanted = "x".join(map(str, input_shape))
        raise DataError(f"the array has the shape {list(x.shape)}, and the run takes examples of {wanted}", where=where)
    batch = batch if batch.dtype == np.uint8 else batch.astype(np.float32)
    if not np.isfinite(batch).all():
        raise DataError("the array holds NaN or infinite values", where=where, hint="values must be finite")
    return batch if batch.shape[1:] == input_shape else resize(batch, input_shape[:-1])
