"""Arrays that come together: element by element, side by side over channels, end to end along the map."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from math import lcm

import numpy as np

from cnnlab.receptive_field.axis import EMPTY, ENDLESS, EXTENDED, FAR, NARROWEST, Axis


@dataclass(frozen=True)
class Merge:
    """How paths merge along an input axis of `positions`.

    `apart`: they come from different layers, so that one may be narrower than another and centred elsewhere.
    `inexact` is called where their fields have no common stride.
    """

    positions: int
    apart: bool
    ignore_global: bool
    inexact: Callable[[], None]

    def elementwise(self, axes: Sequence[Axis]) -> Axis:
        """Entries that depend on the same entry of every one of `axes`, which have one rank."""
        axes = self._kept(axes)
        bounds = reduce(np.maximum, (axis.bounds for axis in axes))
        if self.apart and len(axes) > 1:
            bounds[NARROWEST] = _narrower([axis.bounds for axis in axes])
        return self._placed(axes, bounds)

    def beside(self, axes: Sequence[Axis | None], sizes: Sequence[int], dimension: int) -> Axis:
        """Side by side along a dimension where no axis has its place; None does not depend on the image."""
        kept = self._kept([axis for axis in axes if axis is not None])
        nothing = np.full((6, *[1] * (kept[0].bounds.ndim - 1)), EMPTY, np.int32)
        pieces = [axis.bounds if axis is not None and axis in kept else nothing for axis in axes]
        if all(piece.shape[dimension + 1] == 1 and _same(piece, pieces[0]) for piece in pieces):
            return self._placed(kept, pieces[0])
        full = np.broadcast_shapes(*(_flat(piece, dimension).shape for piece in pieces))
        bounds = np.concatenate(
            [
                np.broadcast_to(piece, (*full[: dimension + 1], size, *full[dimension + 2 :]))
                for piece, size in zip(pieces, sizes, strict=True)
            ],
            dimension + 1,
        )
        if self.apart and len(kept) > 1:
            narrow = _narrower([_flat(axis.bounds, dimension) for axis in kept])
            bounds[NARROWEST] = np.where(bounds[NARROWEST] < -FAR, bounds[NARROWEST], narrow)
        return self._placed(kept, bounds)

    def end_to_end(self, axes: Sequence[Axis | None], sizes: Sequence[int], dimension: int) -> Axis:
        """One map from pieces along the place: if the fields go on from piece to piece, or if the smaller pieces
        are borders (constants; the same map reflected, replicated or circular, to be told by fields of the same
        size), which count as padding does."""
        starts = np.cumsum([0, *sizes])
        number = max((i for i, axis in enumerate(axes) if axis and axis.place == dimension), key=lambda i: sizes[i])
        main = axes[number]
        assert main is not None
        full = np.broadcast_shapes(*(_flat(axis.bounds, dimension).shape for axis in axes if axis))
        start, whole = starts[number], main.full(dimension, sizes[number])
        pieces, even = [], not main.endless
        for i, (axis, size) in enumerate(zip(axes, sizes, strict=True)):
            shape = (*full[: dimension + 1], size, *full[dimension + 2 :])
            entries = np.arange(starts[i], starts[i + 1]) - start
            expected = whole if i == number else main.extrapolated(whole, entries)
            expected = np.array(np.broadcast_to(expected, shape))
            if axis is not None and i != number:
                bounds = np.broadcast_to(axis.bounds, shape)
                border = not self.apart and size < sizes[number] and _sizes(axis) == _sizes(main)
                even = even and (border or (bounds[EXTENDED] == expected[EXTENDED]).all())
                expected[:2] = bounds[:2]
            pieces.append(expected)
        offset = max(axis.offset for axis in axes if axis)
        found = replace(main, bounds=np.concatenate(pieces, dimension + 1), offset=offset)
        if even:
            return found
        if not all(axis is None or axis.endless for axis in axes):
            self.inexact()
        return found.unbounded(dimension)

    def _kept(self, axes: Sequence[Axis]) -> Sequence[Axis]:
        """Without what sees all, if that is to be ignored and something else is left."""
        if not self.ignore_global:
            return axes
        return [axis for axis in axes if not self._whole(axis)] or axes

    def _whole(self, axis: Axis) -> bool:
        return axis.endless or (axis.advance == 0 and axis.sees_all(self.positions))

    def _placed(self, axes: Sequence[Axis], bounds: np.ndarray) -> Axis:
        """The merged axis: it has a field if all that have one move in step."""
        bounded = [axis for axis in axes if not axis.endless]
        first = max(bounded or axes, key=lambda axis: (axis.place is not None, axis.advance != 0))
        offset = max(axis.offset for axis in axes)
        if len({(axis.place, axis.place is not None and axis.stride) for axis in bounded}) > 1:
            moving = [axis for axis in bounded if axis.place is not None and axis.advance]
            alike = len({(axis.place, axis.stride) for axis in moving}) == 1
            if not alike or not all(axis.sees_all(self.positions) for axis in bounded if axis not in moving):
                self.inexact()
            bounds = bounds.copy()
            bounds[EXTENDED] = np.where(bounds[EXTENDED] < -FAR, EMPTY, ENDLESS)
            return Axis(bounds, first.place, offset=offset)
        period = lcm(*(axis.period for axis in bounded)) if bounded else 1
        if self.apart and len(bounded) > 1 and first.place is not None:
            centers = [center for axis in bounded if (center := _center(axis)) is not None]
            offset = max(offset, max(centers) - min(centers)) if centers else offset
        return Axis(bounds, first.place, period, int(first.stride * period) if bounded else 1, offset)


def _narrower(bounds: Sequence[np.ndarray]) -> np.ndarray:
    """The narrowest rows of the narrowest, entry by entry; those that see nothing do not count."""
    best = bounds[0][NARROWEST]
    for other in bounds[1:]:
        rows = other[NARROWEST]
        size, than = rows.sum(0), best.sum(0)
        best = np.where(((size < than) & (size > -FAR)) | (than < -FAR), rows, best)
    return best


def _center(axis: Axis) -> Fraction | None:
    """The centre of entry 0's field; of a field that alternates, the average of center(i) - i * stride."""
    assert axis.place is not None
    rows = np.moveaxis(axis.bounds[EXTENDED], axis.place + 1, 1)[:, : axis.period]
    rows = rows.reshape(2, rows.shape[1], -1)
    seen = rows[1] > -FAR
    count = int(seen.sum())
    if not count:
        return None
    entries = np.flatnonzero(seen) // seen.shape[1]
    doubled = int((rows[1] - rows[0])[seen].sum())
    return Fraction(doubled, 2 * count) - axis.stride * Fraction(int(entries.sum()), count)


def _flat(bounds: np.ndarray, dimension: int) -> np.ndarray:
    """The union along a dimension, which keeps one entry."""
    return bounds.max(axis=dimension + 1, keepdims=True)


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one is other or np.array_equal(one, other)


def _sizes(axis: Axis) -> tuple[int, int]:
    """The smallest and the largest field of an entry that sees something."""
    size = axis.bounds[EXTENDED].sum(0) + 1
    size = size[size > 0]
    return (int(size.min()), int(size.max())) if size.size else (0, 0)
