"""What single units of a map see of the image: exact at every border, holes and padding included."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from cnnlab.receptive_field.axis import CLIPPED, EXTENDED, Axis, Span
from cnnlab.receptive_field.node import Node, support


class Units:
    """The units of a layer's output. `sizes` is the map's size along every input axis, None where that axis has
    no place in it."""

    def __init__(self, node: Node, places: Sequence[int | None], positions: Sequence[int]):
        self._node, self._places, self._positions = node, tuple(places), tuple(positions)
        self.sizes = tuple(None if place is None else node.shape[place] for place in places)

    def has(self, unit: Sequence[int]) -> bool:
        """Whether the map has this unit; along an axis without a place, any number will do."""
        return all(size is None or 0 <= at < size for at, size in zip(unit, self.sizes, strict=True))

    @property
    def center(self) -> tuple[int, ...]:
        """The unit in the middle, the later one of two."""
        return tuple(0 if size is None else size // 2 for size in self.sizes)

    def interval(self, unit: Sequence[int]) -> tuple[Span, ...] | None:
        """The first and the last input position per axis that a unit sees; None where it sees nothing."""
        found = tuple(_at(bounds, unit) for bounds in self._bounds)
        return found if all(first <= last for first, last in found) else None

    def extended(self, unit: Sequence[int]) -> tuple[Span | None, ...]:
        """The first and the last position per axis as if the image went on beyond its border; None along an axis
        without a place in the map, or where the unit sees nothing."""
        return tuple(
            None if place is None or span[0] > span[1] else span
            for place, axis in zip(self._places, self._node.axes, strict=True)
            for span in [_at(_along(axis, self._places, EXTENDED), unit)]
        )

    def support(self, unit: Sequence[int] | None = None) -> np.ndarray:
        """The input positions that a unit depends on, holes left out: a mask over the input's spatial axes. Without
        a unit, those that any unit does."""
        node, mask = self._node, np.ones([1] * len(self._node.shape), bool)
        for place, at in zip(self._places, unit or [None] * len(self._places), strict=True):
            if place is not None and at is not None:
                along = np.arange(node.shape[place]) == at
                mask = mask & along.reshape([-1 if d == place else 1 for d in range(mask.ndim)])
        return np.broadcast_to(support(node, mask), self._positions)

    def density(self, unit: Sequence[int]) -> float:
        """The share of the box of a unit's `interval` that it depends on."""
        spans = self.interval(unit)
        if self._node.solid or spans is None:
            return 1.0
        return int(self.support(unit).sum()) / int(np.prod([last - first + 1 for first, last in spans]))

    def saturated(self) -> bool:
        """Whether every unit sees from the first to the last position of every axis."""
        return all(axis.sees_all(size) for axis, size in zip(self._node.axes, self._positions, strict=True))

    def unused(self) -> tuple[tuple[Span, ...], ...]:
        """Per axis, the ranges of input positions that no unit ever uses."""
        seen = self.support()
        axes = range(seen.ndim)
        return tuple(_ranges(~np.any(seen, axis=tuple(a for a in axes if a != axis))) for axis in axes)

    @cached_property
    def _bounds(self) -> list[np.ndarray]:
        return [_along(axis, self._places, CLIPPED) for axis in self._node.axes]


def _at(bounds: np.ndarray, unit: Sequence[int]) -> Span:
    """A unit's span out of bounds [2, *map]; a map that was broadcast has one entry."""
    at = tuple(min(place, size - 1) for place, size in zip(unit, bounds.shape[1:], strict=True))
    return -int(bounds[(0, *at)]), int(bounds[(1, *at)])


def _along(axis: Axis, places: Sequence[int | None], domain: slice) -> np.ndarray:
    """Bounds of a domain as [2, *map], a dimension for every input axis: the union over all other dimensions."""
    bounds, kept = axis.bounds[domain], [place for place in places if place is not None]
    others = tuple(d + 1 for d in range(bounds.ndim - 1) if d not in kept and bounds.shape[d + 1] > 1)
    bounds = bounds.max(axis=others, keepdims=True) if others else bounds
    sizes = [1 if place is None else bounds.shape[place + 1] for place in places]
    order = [0, *(place + 1 for place in kept)]
    rest = [d for d in range(bounds.ndim) if d not in order]
    return bounds.transpose(*order, *rest).reshape(2, *sizes)


def _ranges(chosen: np.ndarray) -> tuple[Span, ...]:
    """The runs of True, first and last included."""
    edges = np.flatnonzero(np.diff(np.r_[False, chosen, False]))
    return tuple((int(first), int(end) - 1) for first, end in edges.reshape(-1, 2))
