"""Image files -> uint8 arrays, as a person sees them."""

import io
import struct
import threading
import warnings
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from cnnlab.data import jpeg
from cnnlab.data.geometry import Frame, Placed
from cnnlab.data.orientation import upright_size
from cnnlab.errors import DataError
from cnnlab.kernels.resize import resized
from cnnlab.spec.images import Decode

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)
_opening = threading.Lock()  # warnings.catch_warnings changes what all threads see


def is_image(name: str) -> bool:
    """Whether a file's name ends like an image's, in small or capital letters."""
    return name.lower().endswith(EXTENSIONS)


def decode(
    path: Path | bytes,
    channels: int,
    size: tuple[int, int] | Frame | None = None,
    name: str = "",
    decoder: Decode = "full",
) -> np.ndarray:
    """The image as uint8 [height, width, channels], resized by Pillow's BILINEAR: to `size` (height, width), or as a
    frame has it, black around it.

    channels: 1 (luminance) or 3 (red, green, blue). Turned as its EXIF data say; 16 bits become 8 by
    dividing by 257; transparency is laid on white; of several frames the first is taken.
    A JPEG that is resized need not be decoded in full: see `jpeg.decoded`.
    `path` may be the bytes of the file itself. Raises DataError, which calls the file `name`, or its path.
    """
    where = name or str(path)
    frame = Frame(size) if isinstance(size, tuple) else size
    try:
        if isinstance(path, Path) and path.is_fifo():  # to open one waits for a writer, for ever
            raise OSError("it is a pipe")
        with io.BytesIO(path) if isinstance(path, bytes) else path.open("rb") as file:
            image = open_image(file)
            partly = decoder == "simplejpeg" or (decoder == "reduced" and frame is not None)
            if partly and isinstance(image, JpegImageFile):
                placed = frame and frame.placed(upright_size(image))
                pixels = jpeg.decoded(file, image, channels, placed and placed.scaled, decoder)
            else:
                flat = _loaded(image, channels, where)
                placed = frame and frame.placed((flat.height, flat.width))
                scaled = (flat.height, flat.width) if placed is None else placed.scaled
                pixels = resized(flat, scaled)  # type: ignore[arg-type]
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        message = f"more than {Image.MAX_IMAGE_PIXELS:,} pixels"
        raise DataError(message, where=where, hint="make it smaller") from error
    except DAMAGED as error:
        raise DataError(
            f"cannot read the image: {_reason(error, path)}", where=where, hint="repair or remove it"
        ) from error
    return pixels if placed is None else placed.window(pixels, fill=0)


def crop(
    pixels: np.ndarray,
    size: tuple[int, ...],
    resize: int | tuple[int, ...] | None,
    interpolation: str,
    longer: int | None = None,
) -> np.ndarray:
    """uint8 [height, width, channel] -> its centre of `size`, the shorter side or the whole first resized to `resize`.

    As torchvision's Resize and CenterCrop do it on an image of Pillow's; what lacks to `size` is black. Without
    `resize` the whole is resized to `size`, or its longer side to `longer`.
    """
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    whole, scaled = (image.height, image.width), size
    if longer is not None:
        scaled = Frame((longer, longer), "longer").placed(whole).scaled
    elif resize is not None:
        scaled = resize if isinstance(resize, tuple) else tuple(int(resize * side / min(whole)) for side in whole)
    if interpolation == "bilinear":
        made = resized(image, scaled)  # type: ignore[arg-type]
    else:
        made = np.asarray(image.resize(scaled[::-1], Image.Resampling.BICUBIC))  # type: ignore[arg-type]
    start = tuple(_before(have, wanted) for have, wanted in zip(scaled, size, strict=True))
    return Placed(scaled, start, size).window(made.reshape(*scaled, -1), fill=0)


def _before(have: int, wanted: int) -> int:
    """What is cut before the centre, negative for what is added; of an odd surplus half is rounded to even."""
    return round((have - wanted) / 2) if have >= wanted else -((wanted - have) // 2)


def _reason(error: Exception, path: Path | bytes) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        size = len(path) if isinstance(path, bytes) else path.stat().st_size
        return "it is no image that Pillow knows" if size else "the file is empty"
    return getattr(error, "strerror", None) or str(error)


def open_image(file: BinaryIO) -> Image.Image:
    """The image, not yet decoded; raises Pillow's errors and warnings of decompression bombs."""
    # Pillow only warns of an image of 89 million pixels, and raises above twice that. Its warnings of damaged
    # EXIF data, common in photographs, help nobody: what can be read of them is used.
    with _opening, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        image = Image.open(file)
        if image.format != "PNG":  # whose EXIF data may come last, so that asking for them decodes it all
            image.getexif()
        return image


def _loaded(image: Image.Image, channels: int, where: str) -> Image.Image:
    """The image in full, in mode L or RGB and turned as its EXIF data say."""
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    flat = _eight_bits(image, where)
    mode = "L" if channels == 1 else "RGB"
    return flat if flat.mode == mode else flat.convert(mode)


def _eight_bits(image: Image.Image, where: str) -> Image.Image:
    """The image with 8 bits a channel and without transparency, in whatever mode."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            message = f"its values go from {values.min()} to {values.max()}, and 16 bits end at 65535"
            raise DataError(message, where=where, hint="store it with 8 or 16 bits a channel")
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.mode == "F":
        hint = "store it with 8 or 16 bits a channel, or use source: npz"
        raise DataError("its values are floating-point numbers", where=where, hint=hint)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image
