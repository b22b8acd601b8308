"""JPEG at a part of its size: of what is made smaller anyway, not every pixel is computed."""

from math import ceil
from typing import Any, BinaryIO

import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

from cnnlab.data.orientation import is_turned, orientation, upright
from cnnlab.errors import DataError
from cnnlab.kernels.resize import Box, resized
from cnnlab.spec.images import Decode

PARTS = (8, 4, 2, 1)  # simplejpeg has every eighth, but only these by vector instructions: 5/8 takes longer than all


def decoded(
    file: BinaryIO, image: JpegImageFile, channels: int, size: tuple[int, ...] | None, decode: Decode
) -> np.ndarray:
    """uint8 [height, width, channels], brought to `size` (height, width) by Pillow's BILINEAR, turned as its EXIF data
    say.

    `image` was opened from `file` and not loaded. It is decoded at 1, 1/2, 1/4 or 1/8, the smallest scale that leaves
    no side under the wanted one: by Pillow ("reduced") or by simplejpeg. Raises what they raise.
    """
    mode = "L" if channels == 1 else "RGB"
    height, width = (image.height, image.width) if size is None else size[::-1] if is_turned(image) else size
    if decode == "simplejpeg" and image.mode in ("L", "RGB"):  # CMYK is Pillow's in any case
        whole, box = _by_simplejpeg(file, image.size, mode, height, width)
    else:
        _, box = image.draft(mode, (width, height)) or ("", (0, 0, *image.size))
        image.load()
        whole = image if image.mode == mode else image.convert(mode)
    return upright(resized(whole, (height, width), box), orientation(image))


def _by_simplejpeg(
    file: BinaryIO, whole: tuple[int, int], mode: str, height: int, width: int
) -> tuple[np.ndarray, Box]:
    """The image at some scale, uint8 [height, width, 1 or 4], and the part of it that is image: a side that the scale
    does not divide is rounded up."""
    part = next(n for n in PARTS if n == 1 or n <= min(whole[0] // width, whole[1] // height))
    least = [0, 0] if part == 1 else [ceil(side / part) for side in whole]
    space = "GRAY" if mode == "L" else "RGBX"  # four bytes a pixel, as the kernel and Pillow have them
    file.seek(0)
    pixels: np.ndarray = simplejpeg().decode_jpeg(
        file.read(), colorspace=space, min_width=least[0], min_height=least[1], min_factor=1.0
    )
    size = pixels.shape[1], pixels.shape[0]
    scale = next(n / 8 for n in range(1, 9) if tuple(ceil(side * n / 8) for side in whole) == size)
    return pixels, (0, 0, whole[0] * scale, whole[1] * scale)


def simplejpeg() -> Any:
    """The module; DataError where it is not installed."""
    try:
        import simplejpeg  # pyright: ignore[reportMissingImports]
    except ImportError:
        hint = "pip install 'cnnlab[fast-images]', or leave data.decode out"
        raise DataError("simplejpeg is not installed", where="data.decode", hint=hint) from None
    return simplejpeg
