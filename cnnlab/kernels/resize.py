"""Bilinear resizing of 8-bit images by a kernel of our own on the CPU, to the very bits of Pillow's.

Which of the two did it makes no difference but time: the kernel takes a seventh of it. It needs no jax.
"""

import ctypes
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from cnnlab.kernels import build, turned_off

Size = tuple[int, int]
Box = tuple[float, float, float, float]
Pixels = Image.Image | np.ndarray

# Mode, sizes before and after, and the part that is resized: what a Pillow has to make as the kernel does.
TRIED = (
    ("RGB", (9, 31), (7, 5), None),
    ("L", (13, 8), (20, 30), None),
    ("RGB", (12, 21), (8, 17), (0.0, 0.5, 20.25, 12.0)),
    ("L", (40, 40), (3, 2), (3.0, 2.75, 33.0, 40.0)),
)


def resized(image: Pixels, size: Size, box: Box | None = None) -> np.ndarray:
    """uint8 [height, width, channel] of an image in mode L or RGB, or of uint8 pixels [height, width, 1 or 4] that
    lie in one piece, brought to `size` (height, width) by Pillow's BILINEAR. Of four channels three are kept.

    box: left, top, right and bottom of the part that is resized, default: all of it. Raises what Pillow does.
    """
    height, width = _size(image)
    box = box or (0, 0, width, height)
    kernel = _kernel() if kernel_may((height, width), size, box) else None
    return plain(image, size, box) if kernel is None else _by_kernel(kernel, image, size, box)


def in_use() -> bool:
    """Whether the kernel resizes, and not Pillow; asked for the first time, this builds it."""
    return _kernel() is not None


def kernel_may(whole: Size, size: Size, box: Box) -> bool:
    """Whether the kernel is to resize what has the size `whole`; else Pillow does, or says why it cannot."""
    height, width = whole
    left, top, right, bottom = box
    inside = 0 <= left < right <= width and 0 <= top < bottom <= height and min(size) > 0
    # Since version 13 Pillow begins with the columns of an image that loses much more of its height than of its width.
    down_first = height - size[0] > max(0, 2 * (width - size[1]))
    return inside and not down_first and whole != size


def plain(image: Pixels, size: Size, box: Box) -> np.ndarray:
    """The same by Pillow."""
    if isinstance(image, np.ndarray):
        mode = "L" if image.shape[2] == 1 else "RGBX"
        image = Image.frombuffer(mode, image.shape[1::-1], image, "raw", mode, 0, 1)
    made = image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box)
    made = made.convert("RGB") if made.mode == "RGBX" else made
    return np.asarray(made).reshape(*size, -1)


def _size(image: Pixels) -> Size:
    return image.shape[:2] if isinstance(image, np.ndarray) else (image.height, image.width)


def _by_kernel(kernel: Any, image: Pixels, size: Size, box: Box) -> np.ndarray:
    height, width = _size(image)
    if isinstance(image, np.ndarray):
        channels, (pixels, _keeper) = image.shape[2], (image.ctypes.data, image)
    else:
        channels, (pixels, _keeper) = (1 if image.mode == "L" else 4), _pixels(image)
    made = np.empty((*size, 1 if channels == 1 else 3), np.uint8)
    if kernel(pixels, height, width, channels, *box, made.ctypes.data, *size):
        raise MemoryError
    return made


class _ArrowArray(ctypes.Structure):
    """Of Arrow's C data interface."""


_ArrowArray._fields_ = [
    *((name, ctypes.c_int64) for name in ("length", "null_count", "offset", "n_buffers", "n_children")),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_ArrowArray))),
]


def _pixels(image: Image.Image) -> tuple[Any, object]:
    """Where the image has its pixels, one or four bytes each, and what keeps them there."""
    export = None if image.readonly else getattr(image, "__arrow_c_array__", None)  # has it since Pillow 11.2
    try:
        capsule = export and export()[1]
    except ValueError:  # a large image lies in several pieces
        capsule = None
    if capsule is None:
        copied = image.tobytes("raw", "L" if image.mode == "L" else "RGBX")
        return copied, copied
    array = _ArrowArray.from_address(_address_in(capsule, b"arrow_array"))
    return (array.children[0].contents if array.n_children else array).buffers[1], capsule


_address_in = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


@cache
def _kernel() -> Any:
    """The library's function; None where there is none, or this Pillow makes other bits."""
    if turned_off():
        return None
    try:
        kernel = build.load_alone("resize").cnnlab_resize
    except build.Unavailable:
        return None
    number, side, place = ctypes.c_int64, ctypes.c_float, ctypes.c_void_p
    kernel.argtypes = [place, *[number] * 3, *[side] * 4, place, *[number] * 2]
    random = np.random.default_rng(0)
    for mode, before, after, box in TRIED:
        height, width = before
        image = Image.frombytes(mode, (width, height), random.bytes(height * width * len(mode)))
        part = box or (0, 0, width, height)
        if not np.array_equal(_by_kernel(kernel, image, after, part), plain(image, after, part)):
            return None
    return kernel
