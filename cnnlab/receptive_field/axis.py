"""What every entry of an array sees of one spatial axis of the input: from its first to its last position.

`bounds` holds six integers for every entry: minus the first position and the last one (so that a union is a
maximum), three times over:
- clipped: what the entry sees of the image; padding shows it nothing;
- extended: the theoretical field, which goes on beyond the image as if padding were more of the map;
- narrowest: the same along the narrowest path, where paths from different layers were merged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import gcd, lcm

import numpy as np

from cnnlab.receptive_field.taps import GAP, Taps

Shape = tuple[int, ...]
Span = tuple[int, int]

CLIPPED, EXTENDED, NARROWEST = slice(0, 2), slice(2, 4), slice(4, 6)
ENDLESS = 2**29  # beyond every image: the field of what looks at all positions
EMPTY = -ENDLESS  # both bounds of an entry that sees nothing
FAR = ENDLESS // 2  # what was moved from ENDLESS or EMPTY is still beyond it
_SIGNS = np.array([-1, 1, -1, 1], np.int32)[:, None]


@dataclass(frozen=True, eq=False)
class Axis:
    """`bounds` is [6, *dimensions], a dimension 1 where entries do not differ along it.

    `place` is the array's dimension along which the input axis lies, if there is one; there, entry i + period sees
    what entry i does, `advance` positions on. `offset` is the largest distance in positions between the centres of
    paths that were merged on the way.
    """

    bounds: np.ndarray
    place: int | None
    period: int = 1
    advance: int = 1
    offset: Fraction = Fraction(0)

    @property
    def stride(self) -> Fraction:
        """How far the field moves from one entry to the next, on average over a period."""
        return Fraction(self.advance, self.period)

    @cached_property
    def endless(self) -> bool:
        """Whether some entry looks at all positions, by a global operation."""
        return bool((self.bounds[EXTENDED] > FAR).any())

    @cached_property
    def has_empty(self) -> bool:
        """Whether some entry sees nothing of the image."""
        return bool((self.bounds[1] < -FAR).any())

    def sees_all(self, positions: int) -> bool:
        """Whether every entry sees the whole image."""
        return bool((self.bounds[0] >= 0).all() and (self.bounds[1] >= positions - 1).all())

    def varies(self, dimension: int) -> bool:
        return self.bounds.shape[dimension + 1] > 1

    def unbounded(self, place: int | None) -> "Axis":
        """The same, its field without bounds."""
        bounds = self.bounds.copy()
        bounds[2:] = np.where(bounds[2:] < -FAR, EMPTY, ENDLESS)
        return Axis(bounds, place, offset=self.offset)

    def take(self, dimension: int, size: int, taps: Taps, *, mapped: bool) -> "Axis":
        """After windows over a dimension of `size`; `mapped` where some input axis has its place there."""
        here = dimension == self.place
        first, last = min(taps.reach[0], 0), max(taps.reach[1], size - 1)
        if not here and not self.varies(dimension) and (mapped or last - first < size):
            return self
        bounds = self._widened(dimension, size, first, last, mapped)
        nothing = np.full_like(bounds.take([0], dimension + 1), EMPTY)
        bounds = np.concatenate([bounds, nothing], dimension + 1)
        index = np.where(taps.index < GAP, taps.index - first, -1)
        found = bounds.take(index[:, 0], dimension + 1)
        for column in index.T[1:]:
            np.maximum(found, bounds.take(column, dimension + 1), out=found)
        if not here:
            return replace(self, bounds=found)
        return self._regular(found, size) if taps.period is None else self._moved(found, taps.period, taps.advance)

    def _moved(self, bounds: np.ndarray, period: int, advance: int) -> "Axis":
        """Where entry j + period looks `advance` entries on."""
        times = lcm(self.period, abs(advance)) // abs(advance) if advance else 1
        positions = advance * times // self.period * self.advance
        return replace(self, bounds=bounds, period=period * times, advance=positions)

    def _widened(self, dimension: int, size: int, first: int, last: int, mapped: bool) -> np.ndarray:
        """`bounds` for the entries `first` to `last` of a dimension of `size`: beyond the map nothing is seen,
        but along the place the field goes on, and along another axis' place it stays."""
        bounds = self.full(dimension, size)
        if last - first < size:
            return bounds
        beyond = np.r_[first:0, size : last + 1]
        if dimension == self.place:
            more = self.extrapolated(bounds, beyond)
        else:
            more = bounds.take(np.clip(beyond, 0, size - 1), dimension + 1)
            more[slice(0, 2) if mapped else slice(None)] = EMPTY
        before, after = np.split(more, [-first], dimension + 1)
        return np.concatenate([before, bounds, after], dimension + 1)

    def full(self, dimension: int, size: int) -> np.ndarray:
        """`bounds` with all `size` entries of a dimension."""
        return self.bounds if self.bounds.shape[dimension + 1] == size else np.repeat(self.bounds, size, dimension + 1)

    def extrapolated(self, bounds: np.ndarray, entries: np.ndarray) -> np.ndarray:
        """`bounds` of entries of the place outside the map: clipped, they see nothing."""
        assert self.place is not None
        size = bounds.shape[self.place + 1]
        turns = np.where(entries < 0, entries // self.period, np.maximum(entries - size, -1) // self.period + 1)
        inside = np.clip(entries - turns * self.period, 0, size - 1)
        found = bounds.take(inside, self.place + 1)
        # Where the map is shorter than a period, the average stride has to do.
        shift = (entries - inside) * self.advance // self.period
        found[CLIPPED] = EMPTY
        found[2:] += self._along(shift, found.ndim)
        return found

    def _along(self, shift: np.ndarray, rank: int) -> np.ndarray:
        """What is added to the field's bounds where entries of the place move by `shift` positions."""
        assert self.place is not None
        shape = [4, *[1] * (rank - 1)]
        shape[self.place + 1] = len(shift)
        return (_SIGNS * shift.astype(np.int32)).reshape(shape)

    def _regular(self, bounds: np.ndarray, size: int) -> "Axis":
        """After a map of `size` was indexed freely. Where it grew or shrank evenly, as by a resize, the field at
        the borders is what it is inside; else there is no stride, and the field has no bounds."""
        assert self.place is not None
        outputs = bounds.shape[self.place + 1]
        common = gcd(size, outputs)
        found = self._moved(bounds, outputs // common, size // common)
        middle = max(outputs - found.period, 0) // 2
        entries = np.arange(outputs)
        turns = (entries - middle) // found.period
        even = bounds.copy()
        source = np.minimum(entries - turns * found.period, outputs - 1)
        even[2:] = bounds.take(source, self.place + 1)[2:]
        even[2:] += self._along(turns * found.advance, bounds.ndim)
        inner = (slice(2, None), *[slice(None)] * self.place, slice(outputs // 4, -(-3 * outputs // 4)))
        if (even[inner] == bounds[inner]).all() and (even >= bounds).all():
            return replace(found, bounds=even)
        return found.unbounded(self.place)

    def union_over(self, dimensions: Sequence[int]) -> "Axis":
        """The union over dimensions, each of which then has one entry. Without its place an axis is seen whole."""
        along = tuple(d + 1 for d in dimensions if self.varies(d))
        found = replace(self, bounds=self.bounds.max(axis=along, keepdims=True)) if along else self
        lost = bool(along) if self.place is None else self.place in dimensions
        return found.unbounded(None) if lost else found

    def accumulated(self, dimension: int) -> "Axis":
        """Every entry sees what those up to it do."""
        bounds = np.maximum.accumulate(self.bounds, axis=dimension + 1)
        found = replace(self, bounds=bounds)
        return found.unbounded(self.place) if dimension == self.place else found

    def lay(self, where: Sequence[int], rank: int) -> "Axis":
        """Dimension i becomes `where[i]` of an array of `rank`, or goes, where that is negative and it has one
        entry; the array's other dimensions are new."""
        kept = [to for to in where if to >= 0]
        bounds = self.bounds[(slice(None), *(0 if to < 0 else slice(None) for to in where))]
        bounds = bounds.transpose(0, *(i + 1 for i in np.argsort(kept)))
        new = [d + 1 for d in range(rank) if d not in kept]
        place = None if self.place is None or where[self.place] < 0 else where[self.place]
        return replace(self, bounds=np.expand_dims(bounds, new), place=place)
