"""Windows as indices: which entries of a dimension each entry of the next one looks at."""

from dataclasses import dataclass
from functools import cached_property
from math import gcd

import numpy as np

GAP = 2**30  # the index of a tap that falls between two positions of a dilated map


@dataclass(frozen=True, eq=False)
class Taps:
    """Entry j looks at `index[j]`, [outputs, taps]; numbers outside the map mean padding, GAP nothing.

    Where windows slide, entry j + period looks at what entry j does, `advance` entries on; period is None where
    the indices are any.
    """

    index: np.ndarray
    period: int | None = None
    advance: int = 0

    @cached_property
    def step(self) -> int:
        """The largest distance between two neighbouring taps of a window; 0 where windows have one tap."""
        ordered = np.sort(self.index[: self.period], axis=1)  # the others repeat these
        steps = np.diff(ordered, axis=1)[ordered[:, 1:] < GAP]
        return int(steps.max()) if steps.size else 0

    @cached_property
    def reach(self) -> tuple[int, int]:
        """The smallest and the largest index."""
        real = self.index[self.index < GAP]
        return (int(real.min()), int(real.max())) if real.size else (0, 0)


def sliding(outputs: int, size: int, stride: int = 1, dilation: int = 1, before: int = 0, base: int = 1) -> Taps:
    """`outputs` windows of `size` taps over a map with base - 1 gaps between any two positions, `before` in front."""
    spread = np.arange(outputs)[:, None] * stride - before + np.arange(size) * dilation
    if base == 1:
        return Taps(spread, 1, stride)
    common = gcd(stride, base)
    return Taps(np.where(spread % base == 0, spread // base, GAP), base // common, stride // common)


def chosen(index: np.ndarray) -> Taps:
    """Single entries by their numbers, of which any order is fine; a progression slides."""
    steps = np.unique(np.diff(index))
    if len(index) == 1 or len(steps) == 1:
        return Taps(index[:, None], 1, int(steps[0]) if len(steps) else 1)
    return Taps(index[:, None])


def weighted(weights: np.ndarray) -> Taps:
    """The entries with a weight other than zero, of a matrix [outputs, inputs]."""
    taps = max(int((weights != 0).sum(1).max()), 1)
    order = np.argsort(weights == 0, axis=1, kind="stable")[:, :taps]
    return Taps(np.where(np.take_along_axis(weights, order, 1) != 0, order, GAP))
