"""What a reshape does: dimensions merge and split in blocks, and an input axis keeps its place or finds a new one."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import gcd, prod

import numpy as np

from cnnlab.receptive_field.axis import EXTENDED, Axis, Shape

_LONGEST_PERIOD = 512  # that is looked for


def reshaped(axis: Axis, old: Shape, new: Shape) -> Axis:
    """`axis` of an array that goes from shape `old` to `new`."""
    bounds, found = folded(axis.bounds, old, new), None
    if len(new) == 2:  # [batch, features]: a vector has no places
        return replace(axis, bounds=bounds, place=None)
    for before, after in _blocks(old, new):
        if axis.place is None:
            found = found or _regular_along(bounds, after)
        elif old[axis.place] > 1 and axis.place in before:
            found = _followed(axis, before, after, old, new) or _regular_along(bounds, after)
    for dimension in range(len(new)):
        one = bounds.take([0], dimension + 1)
        if bounds.shape[dimension + 1] > 1 and (bounds == one).all():
            bounds = one
    if axis.place is not None and old[axis.place] == 1:
        return replace(axis, bounds=bounds, place=_single(axis.place, new))
    place, period, advance = found or (None, axis.period, axis.advance)
    return replace(axis, bounds=bounds, place=place, period=period, advance=advance)


def folded(values: np.ndarray, old: Shape, new: Shape) -> np.ndarray:
    """An array [..., *old], any dimension of which may be 1 instead, as [..., *new]; blocks of one entry stay so."""
    lead = values.shape[: values.ndim - len(old)]
    have = values.shape[len(lead) :]
    full, result = list(have), list(new)
    for before, after in _blocks(old, new):
        if all(have[d] == 1 for d in before):
            result[after.start : after.stop] = [1] * len(after)
        else:
            full[before.start : before.stop] = old[before.start : before.stop]
    return np.broadcast_to(values, (*lead, *full)).reshape(*lead, *result)


def _blocks(old: Shape, new: Shape) -> Iterator[tuple[range, range]]:
    """The smallest groups of neighbouring dimensions, before and after, that a reshape turns into one another."""
    i = j = 0
    while i < len(old) or j < len(new):
        start = i, j
        before, i = (old[i], i + 1) if i < len(old) else (1, i)
        after, j = (new[j], j + 1) if j < len(new) else (1, j)
        while before != after:
            if before < after:
                before, i = before * old[i], i + 1
            else:
                after, j = after * new[j], j + 1
        yield range(start[0], i), range(start[1], j)


def _followed(axis: Axis, before: range, after: range, old: Shape, new: Shape) -> tuple[int, int, int] | None:
    """Place, period and advance in the block `after`, if entries of the merged block follow one another evenly."""
    assert axis.place is not None
    outer, inner = prod(old[before.start : axis.place]), prod(old[axis.place + 1 : before.stop])
    if outer > 1 or any(axis.varies(d) for d in before if d != axis.place):
        return None
    place = next(d for d in after if new[d] > 1)
    block = prod(new[place + 1 : after.stop])
    common = gcd(axis.period * inner, block)
    return place, axis.period * inner // common, axis.advance * (block // common)


def _regular_along(bounds: np.ndarray, dimensions: Sequence[int]) -> tuple[int, int, int] | None:
    """Of the dimensions along which the field advances evenly, the one where it does so fastest."""
    found: list[tuple[int, int, int]] = []
    for dimension in dimensions:
        rows = np.moveaxis(bounds[EXTENDED], dimension + 1, 1)
        size = rows.shape[1]
        for period in range(1, min(max(size // 2, 1), _LONGEST_PERIOD) + 1 if size > 1 else 0):
            moved = rows[:, period:] - rows[:, :-period]
            advance = int(moved[1].flat[0])
            if (moved[1] == advance).all() and (moved[0] == -advance).all():
                found += [(dimension, period, advance)] if advance else []
                break
    return max(found, key=lambda one: abs(one[2]) / one[1], default=None)


def _single(place: int, new: Shape) -> int | None:
    """A map of one entry may sit on any dimension of one: the nearest, but not the batch."""
    free = [d for d in range(1, len(new)) if new[d] == 1]
    return min(free, key=lambda d: (abs(d - place), -d), default=None)
