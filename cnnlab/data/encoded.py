"""Images that lie in records or tables as the bytes of their files."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cnnlab.data.geometry import Frame
from cnnlab.data.images import decode
from cnnlab.data.memory import check_fits, processors
from cnnlab.data.progress import counted
from cnnlab.errors import DataError


def decode_bytes(
    images: Sequence[bytes | Path],
    names: Sequence[str],
    channels: int,
    frame: Frame | None,
    where: str,
) -> np.ndarray:
    """uint8 [example, height, width, channels], in their order. `names`: what messages call them.

    Raises DataError for the first that cannot be read or has another size, and for too many.
    """

    def one(i: int) -> np.ndarray:
        return decode(images[i], channels, frame, names[i])

    first = one(0)
    words = f"{len(images):,} images of {first.shape[0]} x {first.shape[1]}"
    check_fits(len(images) * first.nbytes, words, where=where, hint="choose a smaller data.resize")
    x = np.empty((len(images), *first.shape), np.uint8)

    def decode_into(i: int) -> None:
        image = one(i)
        if image.shape != first.shape:
            sizes = [f"{height} x {width}" for height, width, _ in (first.shape, image.shape)]
            message = f"is {sizes[1]} (height x width), and {names[0]} is {sizes[0]}"
            raise DataError(message, where=names[i], hint="add data.resize, to bring all to one size")
        x[i] = image

    with ThreadPoolExecutor(processors()) as pool:
        # In their order, so that the first one's error is raised.
        for _ in counted(pool.map(decode_into, range(len(images))), len(images)):
            pass
    return x
