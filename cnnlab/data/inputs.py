"""Files to predict: images and arrays, brought into the form that a run was trained on."""

from pathlib import Path

import numpy as np

from cnnlab.data.geometry import Frame, framed
from cnnlab.data.images import crop, decode, is_image
from cnnlab.data.npz import read_array
from cnnlab.errors import DataError
from cnnlab.spec.images import Decode

ARRAYS = (".npy", ".npz")


def read_inputs(
    path: Path, input_shape: tuple[int, ...], *, pixels: bool, decoder: Decode = "full", frame: Frame | None = None
) -> np.ndarray:
    """The examples of one file, [example, *space, channel], of `input_shape`; uint8 counts as 0..1.

    What has another size is brought to it as `frame` says, which has that size; without it is stretched.

    An image is one example; .npy and .npz (`x`) hold a batch, or a single example without the batch axis.
    `pixels` says that the run was trained on values from 0 to 1, which is what an image gives; `decoder`, how its own
    images were decoded.
    Raises DataError where the file is no such thing or does not fit.
    """
    where = str(path)
    if is_array(path):
        _check_there(path)
        return _fitted(read_array(path), input_shape, frame, where)
    check_image(path)
    check_pixels(path, input_shape, pixels=pixels)
    height, width, channels = input_shape
    return decode(path, channels, frame or (height, width), decoder=decoder)[None]


def read_examples(path: Path, axes: int, channels: int) -> np.ndarray:
    """The examples of an array's file as they are, [example, *space, channel] with so many spatial axes of any size.

    A single example may come without the batch axis, one channel without its axis. Raises DataError.
    """
    _check_there(path)
    x = read_array(path)
    if x.ndim == axes and channels == 1:
        x = x[..., None]
    if x.ndim == axes + 1:
        x = x[None] if x.shape[-1] == channels else x[..., None]
    if x.ndim != axes + 2 or x.shape[-1] != channels or 0 in x.shape:
        wanted = f"{axes} spatial {'axis' if axes == 1 else 'axes'} and {channels} channel{'s' * (channels > 1)}"
        raise DataError(f"the array has the shape {list(x.shape)}, and the run takes {wanted}", where=str(path))
    return _finite(x, str(path))


def check_pixels(path: Path, input_shape: tuple[int, ...], *, pixels: bool) -> None:
    """Raises DataError unless an image can be an example of this shape."""
    if len(input_shape) != 3 or input_shape[-1] not in (1, 3) or not pixels:
        kind = "x".join(map(str, input_shape)) + ("" if pixels else " of values that are no pixels from 0 to 255")
        hint = "give .npy or .npz arrays"
        raise DataError(f"an image, and the run was trained on {kind}", where=str(path), hint=hint)


def check_file(path: Path) -> None:
    """Raises DataError unless the file is there and its name is that of an image or an array."""
    if is_array(path):
        _check_there(path)
    else:
        check_image(path)


def is_array(path: Path) -> bool:
    """Whether the file's name is that of an array."""
    return path.suffix.lower() in ARRAYS


def read_batch(path: Path) -> np.ndarray:
    """The array of an .npy file, or `x` of an .npz file, [example, *space, channel]: uint8 or float32, as it is."""
    _check_there(path)
    x = read_array(path)
    if not 2 <= x.ndim <= 5 or 0 in x.shape:
        message = f"the array has the shape {list(x.shape)}, and [example, height, width, channel] is wanted"
        raise DataError(message, where=str(path))
    return _finite(x, str(path))


def read_cropped(
    path: Path,
    channels: int,
    size: tuple[int, ...],
    resize: int | tuple[int, ...] | None,
    interpolation: str,
    longer: int | None = None,
) -> np.ndarray:
    """One image as uint8 [1, height, width, channel]: its shorter side or the whole resized to `resize`, its
    centre cut out.

    Without `resize` it is resized to `size` as a whole, or its longer side to `longer`. Raises DataError where the
    file is no image.
    """
    check_image(path)
    if len(size) != 2 or channels not in (1, 3):
        message = f"an image, and the network was trained on {'x'.join(map(str, (*size, channels)))}"
        raise DataError(message, where=str(path), hint="give .npy or .npz arrays")
    return crop(decode(path, channels), size, resize, interpolation, longer)[None]


def check_image(path: Path) -> None:
    """Raises DataError unless the file is there and its name is that of an image."""
    _check_there(path)
    if not is_image(path.name):
        message = f"'{path.suffix}' is neither an image nor an array"
        raise DataError(message, where=str(path), hint="name .png, .jpg or .npy")


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise DataError("no such file", where=str(path), hint="name images, .npy or .npz files")


def _finite(x: np.ndarray, where: str) -> np.ndarray:
    """The array as uint8 or float32. Raises DataError for NaN and for what is or becomes infinite."""
    with np.errstate(over="ignore"):  # a float64 above 3.4e38
        x = x if x.dtype == np.uint8 else x.astype(np.float32)
    if not np.isfinite(x).all():
        raise DataError("the array holds NaN or infinite values", where=where, hint="values must be finite")
    return x


def _fitted(x: np.ndarray, input_shape: tuple[int, ...], frame: Frame | None, where: str) -> np.ndarray:
    axes = len(input_shape) - 1
    single = x.ndim in (axes, axes + 1) and x.shape in (input_shape, input_shape[:-1])
    batch = x[None] if single else x
    if axes and batch.ndim == 1 + axes:
        batch = batch[..., None]
    if batch.ndim != 2 + axes or batch.shape[-1] != input_shape[-1] or 0 in batch.shape:
        wanted = "x".join(map(str, input_shape))
        raise DataError(f"the array has the shape {list(x.shape)}, and the run takes examples of {wanted}", where=where)
    batch = _finite(batch, where)
    return batch if batch.shape[1:] == input_shape else framed(batch, frame or Frame(input_shape[:-1]))
