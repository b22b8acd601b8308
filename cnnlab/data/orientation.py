"""Images as a person sees them: turned as their EXIF data say."""

import numpy as np
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import TiffImageFile


def orientation(image: Image.Image) -> int:
    """EXIF's, 1 to 8; of an opened PNG all of it may be decoded for that."""
    return image.getexif().get(ExifTags.Base.Orientation, 1)


def is_turned(image: Image.Image) -> bool:
    """Whether height and width change places."""
    return orientation(image) in (5, 6, 7, 8)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Height and width of an opened image that is not loaded."""
    width, height = image.size
    if isinstance(image, TiffImageFile):  # whose size is the upright one already, in newer versions of Pillow
        width, height = image.tag_v2[ExifTags.Base.ImageWidth], image.tag_v2[ExifTags.Base.ImageLength]
    return (width, height) if is_turned(image) else (height, width)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """[height, width, ...] of what is stored in one of EXIF's orientations."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
