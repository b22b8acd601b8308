"""JPEG at a part of its size: of what is made smaller anyway, not every pixel is computed."""

from math import ceil
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from cnnlab.errors import DataError
from cnnlab.spec.images import Decode

ORIENTATION = 0x0112  # of EXIF; from 5 on height and width change places

Box = tuple[float, float, float, float]


def resized(
    file: BinaryIO, image: JpegImageFile, channels: int, size: tuple[int, ...] | None, decode: Decode
) -> Image.Image:
    """The image in mode L or RGB, brought to `size` (height, width) by Pillow's BILINEAR, turned as its EXIF data say.

    `image` was opened from `file` and not loaded. It is decoded at the smallest scale that leaves no side under the
    wanted one: by Pillow at 1, 1/2, 1/4 or 1/8 ("reduced"), or by simplejpeg at any eighth. Raises what they raise.
    """
    mode = "L" if channels == 1 else "RGB"
    turned = _turned(image)
    height, width = (image.height, image.width) if size is None else size[::-1] if turned else size
    if decode == "simplejpeg" and image.mode in ("L", "RGB"):  # CMYK is Pillow's in any case
        whole, box = _by_simplejpeg(file, image.size, mode, height, width)
    else:
        _, box = image.draft(mode, (width, height)) or ("", (0, 0, *image.size))
        image.load()
        whole = image if image.mode == mode else image.convert(mode)
    small = whole.resize((width, height), Image.Resampling.BILINEAR, box)
    small = small if small.mode == mode else small.convert(mode)
    small.info = image.info
    ImageOps.exif_transpose(small, in_place=True)
    return small


def upright_size(image: JpegImageFile) -> tuple[int, int]:
    """Height and width as a person sees them, of an image that is not loaded."""
    return image.size if _turned(image) else (image.height, image.width)


def _turned(image: JpegImageFile) -> bool:
    return image.getexif().get(ORIENTATION, 1) >= 5


def _by_simplejpeg(
    file: BinaryIO, whole: tuple[int, int], mode: str, height: int, width: int
) -> tuple[Image.Image, Box]:
    """The image at some scale, in mode L or RGBX, and the part of it that is image: a side that the scale does not
    divide is rounded up."""
    file.seek(0)
    space = "GRAY" if mode == "L" else "RGBX"  # four bytes a pixel, as Pillow has them: nothing is copied
    pixels: np.ndarray = simplejpeg().decode_jpeg(
        file.read(), colorspace=space, min_height=height, min_width=width, min_factor=1.0
    )
    size = pixels.shape[1], pixels.shape[0]
    scale = next(n / 8 for n in range(1, 9) if tuple(ceil(side * n / 8) for side in whole) == size)
    box = (0, 0, whole[0] * scale, whole[1] * scale)
    own = "L" if mode == "L" else "RGBX"
    return Image.frombuffer(own, size, pixels, "raw", own, 0, 1), box


def simplejpeg() -> Any:
    """The module; DataError where it is not installed."""
    try:
        import simplejpeg  # pyright: ignore[reportMissingImports]
    except ImportError:
        hint = "pip install 'cnnlab[fast-images]', or leave data.decode out"
        raise DataError("simplejpeg is not installed", where="data.decode", hint=hint) from None
    return simplejpeg
