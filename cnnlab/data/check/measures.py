"""What one look at every example tells: its digest, its values, what it looks like from afar."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from math import prod

import numpy as np

from cnnlab.data.check.hashes import FREQUENCIES, low_frequencies
from cnnlab.data.fingerprint import content_digest
from cnnlab.data.memory import processors
from cnnlab.data.stored import StoredImages

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow's


@dataclass(frozen=True, eq=False)
class Measures:
    """Of every example: SHA-256 (objects: NumPy's own bytes lose zeros at the end), smallest and largest value
    [example]; mean, variance [example, channel] over `count` [example] positions; of images of 8 x 8 or more the
    lowest frequencies of their luminance [example, 8, 8], else NaN.
    """

    digests: np.ndarray
    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    count: np.ndarray
    frequencies: np.ndarray

    def __len__(self) -> int:
        return len(self.digests)

    def take(self, kept: np.ndarray) -> "Measures":
        """Of these examples alone."""
        return Measures(*(getattr(self, field.name)[kept] for field in fields(self)))

    def statistics(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation per channel, float64 [channel], over all positions of these examples.

        Chan, Golub and LeVeque (1983): variances within the examples, and of their means.
        """
        weights = self.count[indices] / self.count[indices].sum()
        mean = weights @ self.mean[indices]
        return mean, np.sqrt(weights @ (self.variance[indices] + (self.mean[indices] - mean) ** 2))


def measure(x: np.ndarray) -> Measures:
    """Of examples [example, *spatial, channel], uint8 or float32, whose values may be NaN."""
    flat = x.reshape(len(x), -1, x.shape[-1])
    exact = flat.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        mean = exact.mean(1)
        variance = np.square(exact - mean[:, None]).mean(1)
    return Measures(
        np.array([content_digest(example) for example in x], object),
        flat.min((1, 2)).astype(np.float64),
        flat.max((1, 2)).astype(np.float64),
        mean,
        variance,
        np.full(len(x), flat.shape[1]),
        _frequencies(x),
    )


def measure_all(x: np.ndarray | StoredImages) -> Measures:
    """As `measure`, in parts on threads."""
    rows = max(1, 2**20 // max(1, prod(x.shape[1:])))
    with ThreadPoolExecutor(processors()) as pool:
        return joined(
            list(
                pool.map(lambda start: measure(x[np.arange(start, min(start + rows, len(x)))]), range(0, len(x), rows))
            )
        )


def joined(parts: Sequence[Measures]) -> Measures:
    """The measures of all examples of the parts; there is at least one."""
    return Measures(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Measures)))


def _frequencies(x: np.ndarray) -> np.ndarray:
    if x.ndim != 4 or min(x.shape[1:3]) < FREQUENCIES:
        return np.full((len(x), FREQUENCIES, FREQUENCIES), np.nan, np.float32)
    values = x.astype(np.float32)
    channels = x.shape[-1]
    gray = values @ LUMINANCE if channels == 3 else values.mean(-1)
    with np.errstate(invalid="ignore"):
        return low_frequencies(gray)
