"""Perceptual hashes of images, and the pairs that differ in few bits, without comparing all with all.

The hash is Zauner's "pHash" (Implementation and benchmarking of perceptual image hash functions, 2010), of the lowest
frequencies of the discrete cosine transform, which here are taken of the whole image, not of a copy of 32 x 32.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

import numpy as np

FREQUENCIES = 8  # along each axis: 64 coefficients, 64 bits
CLOSE = 10  # bits: 99 of 100 copies with another brightness, size, or JPEG quality down to 60 stay below about that
MOST_PAIRS = 2_000_000


@lru_cache(maxsize=256)
def _cosines(size: int) -> np.ndarray:
    """The first rows [FREQUENCIES, size] of the transform (type II), each over `size`."""
    frequencies, places = np.arange(FREQUENCIES)[:, None], np.arange(size) + 0.5
    return (np.cos(np.pi * frequencies * places / size) / size).astype(np.float32)


def low_frequencies(gray: np.ndarray) -> np.ndarray:
    """float32 [image, 8, 8] of images [image, height, width] of at least 8 x 8; the first coefficient is the mean."""
    height, width = gray.shape[1:]
    return _cosines(height) @ gray.astype(np.float32) @ _cosines(width).T


def hashes(frequencies: np.ndarray) -> np.ndarray:
    """uint64 [image]: a bit for each coefficient but the mean, whether it is above their median.

    The same for an image in another size, brighter, or of more contrast.
    """
    flat = frequencies.reshape(len(frequencies), -1)[:, 1:]
    bits = flat > np.median(flat, axis=1, keepdims=True)
    return np.packbits(np.pad(bits, ((0, 0), (1, 0))), axis=1).view(">u8").ravel().astype(np.uint64)


def close_pairs(distinct: np.ndarray, distance: int = CLOSE, most: int = MOST_PAIRS) -> tuple[np.ndarray, bool]:
    """Pairs [pair, 2] of places in `distinct`, uint64, that differ in at most `distance` bits, and whether it is all.

    Of `distance` + 1 bands of bits one at least is equal in both (the pigeonhole principle), so that only those with
    an equal band are compared. Beyond `most` pairs the search ends.
    """
    edges = [64 * i // (distance + 1) for i in range(distance + 2)]
    bands = [np.uint64((1 << high) - (1 << low)) for low, high in pairwise(edges)]
    found, count = [np.empty((0, 2), np.int64)], 0
    for k, band in enumerate(bands):
        for members in _equal(distinct & band):
            for pairs, differing in _compared(distinct, members, distance):
                new = np.ones(len(pairs), bool)
                for earlier in bands[:k]:  # equal there too: found there
                    new &= differing & earlier != 0
                found.append(pairs[new])
                count += len(found[-1])
                if count > most:
                    return np.concatenate(found), False
    return np.concatenate(found), True


def _equal(values: np.ndarray) -> Iterator[np.ndarray]:
    """The places of each value that is there more than once."""
    order = np.argsort(values, kind="stable")
    ends = np.flatnonzero(np.diff(values[order], append=~values[order[-1:]])) + 1
    for start, end in pairwise([0, *ends.tolist()]):
        if end - start > 1:
            yield order[start:end]


def _compared(distinct: np.ndarray, members: np.ndarray, distance: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs of the members that are close, and which bits differ, in parts of some million comparisons."""
    rows = max(1, 2**22 // len(members))
    for start in range(0, len(members), rows):
        part, rest = members[start : start + rows], members[start:]
        differing = distinct[part, None] ^ distinct[None, rest]
        close = np.triu(np.bitwise_count(differing) <= distance, 1)
        i, j = np.nonzero(close)
        yield np.stack([part[i], rest[j]], 1), differing[i, j]
