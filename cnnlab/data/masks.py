"""Mask files -> the class of every pixel: the numbers that a palette, grey or one-bit image stores, and no colours."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, ImageOps

from cnnlab.data.dataset import Target
from cnnlab.data.geometry import Frame
from cnnlab.data.images import DAMAGED, open_image
from cnnlab.data.memory import check_fits, processors
from cnnlab.data.orientation import upright_size
from cnnlab.data.progress import counted
from cnnlab.errors import DataError
from cnnlab.spec.data import UNKNOWN


class MaskKeys(Protocol):
    """What a spec says of masks: the names of the classes, and the numbers that stand for them in the files."""

    @property
    def mask_classes(self) -> tuple[str, ...] | None: ...
    @property
    def mask_values(self) -> tuple[int, ...] | None: ...


def read_masks(
    masks: Sequence[Path],
    images: Sequence[Path],
    names: Sequence[str],
    frame: Frame,
    keys: MaskKeys,
    where: str,
) -> Target:
    """The "mask" target, uint8 [example, height, width]; each mask has its image's size.

    names: of the masks, for messages; frame: what the images are brought to, which masks follow by the nearest pixel.
    255 is what nothing is said of, the frame around an image too, unless `mask_values` lists it. Raises DataError for
    the first file that is no such mask.
    """
    height, width = frame.size
    words = f"{len(masks):,} masks of {height} x {width}"
    check_fits(len(masks) * height * width, words, where=where, hint="choose a smaller data.resize")
    values = np.empty((len(masks), height, width), np.uint8)
    known = keys.mask_values or (tuple(range(len(keys.mask_classes))) if keys.mask_classes else None)

    def read_into(i: int) -> None:
        ids = _decode(masks[i], images[i], names[i])
        if known is not None:
            ids = _numbered(ids, known, names[i])
        placed = frame.placed(ids.shape)
        new = Image.fromarray(ids).resize(placed.scaled[::-1], Image.Resampling.NEAREST)  # type: ignore[arg-type]
        values[i] = placed.window(np.asarray(new), fill=UNKNOWN)

    with ThreadPoolExecutor(processors()) as pool:
        # In their order, so that the first file's error is raised.
        for _ in counted(pool.map(read_into, range(len(masks))), len(masks)):
            pass
    said = values[values != UNKNOWN]
    if not said.size or (known is None and said.max() == 0):
        message = f"the masks hold nothing but {' and '.join(map(str, np.unique(values)))}, and 255 means that nothing"
        hint = "data.mask_values: [0, 255] makes 255 the class 1"
        raise DataError(f"{message} is said there", where=where, hint=hint)
    count = len(known) if known is not None else int(said.max()) + 1
    return Target(values, keys.mask_classes or tuple(map(str, known or range(count))))


def _decode(path: Path, image: Path, name: str) -> np.ndarray:
    """uint8 [height, width], the numbers as stored."""
    try:
        with path.open("rb") as file:
            mask = ImageOps.exif_transpose(open_image(file))
            if mask.mode not in ("1", "L", "P", "I", "I;16"):
                message = f"its pixels are {mask.mode}, and a mask has one number a pixel"
                raise DataError(message, where=name, hint="store class ids as grey or palette PNG")
            ids = np.asarray(mask)
        with image.open("rb") as file:
            of_image = upright_size(open_image(file))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        message = f"more than {Image.MAX_IMAGE_PIXELS:,} pixels"
        raise DataError(message, where=name, hint="make it smaller") from error
    except DAMAGED as error:
        reason = "it is no image that Pillow knows" if isinstance(error, Image.UnidentifiedImageError) else error
        raise DataError(f"cannot read the mask: {reason}", where=name, hint="repair or remove it") from error
    if ids.shape != of_image:
        sizes = [f"{height} x {width}" for height, width in (ids.shape, of_image)]
        message = f"the mask is {sizes[0]} (height x width), and its image {image.name} is {sizes[1]}"
        raise DataError(message, where=name, hint="a mask has a number for every pixel of its image")
    if int(ids.min()) < 0 or int(ids.max()) > 255:
        message = f"holds the number {max(int(ids.max()), -int(ids.min()))}, and class ids end at 254"
        raise DataError(message, where=name, hint="store class ids as grey or palette PNG")
    return ids.astype(np.uint8)


def _numbered(ids: np.ndarray, known: Sequence[int], name: str) -> np.ndarray:
    """The place in `known` of each number; 255 stays."""
    places = np.full(256, -1)
    places[UNKNOWN] = UNKNOWN
    places[list(known)] = range(len(known))
    found = places[ids]
    strange = np.unique(ids[found < 0])
    if len(strange):
        message = f"holds the number {strange[0]}, and the classes are {', '.join(map(str, known))}"
        raise DataError(message, where=name, hint="data.mask_classes and data.mask_values say what a mask holds")
    return found.astype(np.uint8)
