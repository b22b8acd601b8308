"""Where the images of a source are kept: in memory what fits the spec's limit, in their files what does not."""

from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np

from cnnlab.data.geometry import Frame
from cnnlab.data.image_files import ImageFiles
from cnnlab.data.memory import check_fits
from cnnlab.data.pixel_cache import cached
from cnnlab.data.progress import counted
from cnnlab.data.stored import StoredImages
from cnnlab.data.threads import pool
from cnnlab.spec.images import ImageKeys


def workers_notes(keys: ImageKeys, x: np.ndarray | StoredImages) -> tuple[str, ...]:
    """A sentence where `keys.workers` have nothing to do."""
    if not keys.workers or isinstance(x, StoredImages):
        return ()
    return (f"data.workers: {keys.workers} is not used: the images are in memory, as they fit data.memory",)


def load_images(
    root: Path, files: Sequence[str], keys: ImageKeys, frame: Frame | None, where: str, base: Path
) -> np.ndarray | StoredImages:
    """uint8 [example, height, width, channels] in the order of `files`, which start at `root`: decoded by threads,
    now if that takes no more than `keys.memory`, else when they are asked for.

    All are decoded once in any case. `keys.cache` starts at `base`. Raises DataError for the first of them that cannot
    be read or has another size, and where memory is short.
    """
    images = ImageFiles(root, files, keys.channels, frame, keys.decode, where)
    needed = len(files) * prod(images.shape)
    source, found = (images, None) if keys.cache is None else cached(images, (base / keys.cache).absolute())
    if needed > keys.memory_bytes:
        return StoredImages(source, found or images.survey())
    words = f"{len(files):,} images of {images.shape[0]} x {images.shape[1]}"
    check_fits(needed, words, where=where, hint="choose a smaller data.resize or data.memory")
    x = np.empty((len(files), *images.shape), np.uint8)

    def read_into(i: int) -> None:
        x[i] = source.read(i)

    # In the order of the files, so that the first one's error is raised.
    for _ in counted(pool().map(read_into, range(len(files))), len(files)):
        pass
    return x
