"""What one look at every image tells: which data it is, and the sums that any split's normalisation is made from."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

import numpy as np

from cnnlab.data.fingerprint import content_digest
from cnnlab.data.memory import processors
from cnnlab.data.progress import counted
from cnnlab.data.threads import ahead, pool

EXACT_ROWS = 256  # of which float32 still sums squares of up to 255 without rounding: 256 * 255**2 < 2**24


class Survey(NamedTuple):
    """Of uint8 images: digests, SHA-256 each; and as int64 [example, channel] the first pixel, the sum and the sum of
    squares over all pixels."""

    digests: tuple[bytes, ...]
    first: np.ndarray
    sums: np.ndarray
    squares: np.ndarray

    def take(self, kept: np.ndarray) -> "Survey":
        """Of these images alone."""
        return Survey(tuple(self.digests[i] for i in kept), self.first[kept], self.sums[kept], self.squares[kept])

    def differences(self, indices: np.ndarray, pixels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the images at `indices`, of so many `pixels` each: the first pixel of the first of them, and of all
        values' differences to it the sum and the sum of squares, all float64 [channel], from whole numbers."""
        first, count = self.first[indices[0]], len(indices) * pixels
        sums, squares = self.sums[indices].sum(0), self.squares[indices].sum(0)
        of_squares = squares - 2 * first * sums + count * first**2
        return first.astype(np.float64), (sums - count * first).astype(np.float64), of_squares.astype(np.float64)


def survey(
    read: Callable[[int], np.ndarray], count: int, seen: Callable[[bytes, np.ndarray], Any] | None = None
) -> Survey:
    """Reads every image once, on threads. Memory holds a few of them at a time.

    `seen` is given the digest and the pixels of each, in order. Raises what `read` raises, the first image's error
    first.
    """
    digests: list[bytes] = []
    figures: list[np.ndarray] = []

    def look(i: int) -> tuple[bytes, np.ndarray, np.ndarray]:
        image = read(i)
        return content_digest(image), _figures(image), image

    def begin(i: int) -> "Future[tuple[bytes, np.ndarray, np.ndarray]]":
        return pool().submit(look, i)

    for future in counted(ahead(begin, range(count), 4 * processors()), count):
        digest, row, image = future.result()
        digests.append(digest)
        figures.append(row)
        if seen is not None:
            seen(digest, image)
    return Survey(tuple(digests), *np.moveaxis(np.array(figures), 1, 0))


def _figures(image: np.ndarray) -> np.ndarray:
    """First pixel, sum and sum of squares, int64 [3, channel], of an image [height, width, channel]."""
    height, width, channels = image.shape
    rows = image.reshape(height, -1)
    sums, squares = np.zeros((2, width * channels), np.int64)
    for start in range(0, height, EXACT_ROWS):
        part = rows[start : start + EXACT_ROWS].astype(np.float32)
        sums += part.sum(0).astype(np.int64)
        squares += np.einsum("rf,rf->f", part, part).astype(np.int64)
    totals = [values.reshape(width, channels).sum(0) for values in (sums, squares)]
    return np.array([image[0, 0].astype(np.int64), *totals])
