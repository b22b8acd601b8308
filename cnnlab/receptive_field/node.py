"""Arrays in the middle of a network: what they see of the input, and the way back to it.

Every primitive operation is a few moves here. A move does two things: it carries the bounds of every input axis
forward, and it notes how to carry a set of entries back, so that the exact support of any unit can be asked for.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from cnnlab.receptive_field.axis import EXTENDED, Axis, Shape
from cnnlab.receptive_field.reshape import folded, reshaped
from cnnlab.receptive_field.taps import Taps

Mask = np.ndarray  # of an array's rank; a dimension of 1 stands for all its entries
Back = Callable[[Mask], Mask]

_numbers = count()


@dataclass(frozen=True, eq=False)
class Node:
    """An array of `shape`. `axes` has an entry per spatial axis of the input.

    `solid`: no entry's field has holes (False where that is not known). `source` names the layers that the array
    came from. `boundary`: what a layer returned, or what lies between layers. `parents` are the arrays that it is
    made from, each with the way back.
    """

    shape: Shape
    axes: tuple[Axis, ...]
    solid: bool = True
    source: frozenset[int] = frozenset()
    boundary: bool = False
    parents: tuple[tuple["Node", Back], ...] = ()
    number: int = field(default_factory=lambda: next(_numbers))

    def made(self, shape: Shape, axes: Sequence[Axis], back: Back, *, solid: bool | None = None) -> "Node":
        """A node that this one leads to."""
        solid = self.solid if solid is None else solid
        return Node(tuple(map(int, shape)), tuple(axes), solid, self.source, parents=((self, back),))

    def named(self, source: frozenset[int], *, boundary: bool) -> "Node":
        """The same array under the name of the layer that returned it."""
        return Node(self.shape, self.axes, self.solid, source, boundary, ((self, lambda mask: mask),))

    def take(self, dimension: int, taps: Taps) -> "Node":
        """Windows over a dimension."""
        size = self.shape[dimension]
        mapped = any(axis.place == dimension for axis in self.axes)
        shape = (*self.shape[:dimension], len(taps.index), *self.shape[dimension + 1 :])
        axes = [axis.take(dimension, size, taps, mapped=mapped) for axis in self.axes]
        solid = self.solid and (taps.step == 0 or self._touching(dimension, taps.step))
        return self.made(shape, axes, lambda mask: _scattered(mask, dimension, size, taps), solid=solid)

    def cut(self, dimension: int, start: int, size: int, stride: int = 1) -> "Node":
        """Entries of a dimension, from `start` on."""
        if start == 0 and size == self.shape[dimension]:
            return self
        return self.take(dimension, Taps(start + np.arange(size)[:, None] * stride, 1, stride))

    def reshape(self, shape: Shape) -> "Node":
        old = self.shape
        axes = [reshaped(axis, old, shape) for axis in self.axes]
        return self.made(shape, axes, lambda mask: folded(mask, shape, old))

    def lay(self, shape: Shape, where: Sequence[int]) -> "Node":
        """Dimension i becomes `where[i]` of an array of `shape` (or goes, where that is -1); dimensions of one entry
        may grow, all entries then seeing the same."""
        if self.shape == tuple(shape) and list(where) == list(range(len(shape))):
            return self
        old = self.shape
        axes = [axis.lay(where, len(shape)) for axis in self.axes]
        # Where one unit grew into a map, the field stands still.
        still = [a.place is not None and old[list(where).index(a.place)] < shape[a.place] for a in axes]
        axes = [replace(a, period=1, advance=0) if grew else a for a, grew in zip(axes, still, strict=True)]

        def back(mask: Mask) -> Mask:
            grown = [d for d in range(len(shape)) if d not in where or old[list(where).index(d)] < shape[d]]
            mask = np.any(mask, axis=tuple(grown), keepdims=True)
            kept = [to for to in where if to >= 0]
            mask = mask.transpose(*kept, *(d for d in range(len(shape)) if d not in kept))
            sizes = iter(mask.shape)
            return mask.reshape([next(sizes) if to >= 0 else 1 for to in where])

        return self.made(shape, axes, back)

    def transpose(self, permutation: Sequence[int]) -> "Node":
        shape = tuple(self.shape[d] for d in permutation)
        return self.lay(shape, [list(permutation).index(d) for d in range(len(shape))])

    def blend(self, dimension: int, size: int, groups: int = 1) -> "Node":
        """`size` entries of a dimension, each made from all entries (of its group)."""
        shape = (*self.shape[:dimension], size, *self.shape[dimension + 1 :])
        old = self.shape[dimension]
        if groups == 1 or not any(axis.varies(dimension) for axis in self.axes):
            axes = [axis.union_over([dimension]) for axis in self.axes]
        else:
            axes = [_grouped(axis, dimension, groups, size) for axis in self.axes]

        def back(mask: Mask) -> Mask:
            if groups == 1 or mask.shape[dimension] == 1:
                return np.any(mask, axis=dimension, keepdims=True)
            return _in_groups(mask, dimension, groups, old)

        return self.made(shape, axes, back, solid=self.solid and self._one_spans_all([dimension]))

    def reduce(self, dimensions: Sequence[int]) -> "Node":
        """The union over dimensions, which go."""
        if not dimensions:
            return self
        dimensions = [d % len(self.shape) for d in dimensions]
        shape = tuple(1 if d in dimensions else n for d, n in enumerate(self.shape))
        axes = [axis.union_over(dimensions) for axis in self.axes]
        places = [d for d in dimensions if any(axis.place == d for axis in self.axes)]
        others = [d for d in dimensions if d not in places]
        solid = self.solid and all(self._touching(d, 1) for d in places) and self._one_spans_all(others)
        joined = self.made(shape, axes, lambda mask: mask, solid=solid)
        return joined.squeeze(dimensions)

    def squeeze(self, dimensions: Sequence[int]) -> "Node":
        """Dimensions of one entry go."""
        gone = {d % len(self.shape) for d in dimensions}
        left = [d for d in range(len(self.shape)) if d not in gone]
        where = [-1 if d in gone else left.index(d) for d in range(len(self.shape))]
        return self.lay(tuple(self.shape[d] for d in left), where)

    def _touching(self, dimension: int, step: int) -> bool:
        """Whether the fields of entries `step` apart leave no hole between them."""
        for axis in self.axes:
            if axis.place == dimension:
                rows = np.moveaxis(axis.bounds[EXTENDED], dimension + 1, 1)
                if rows.shape[1] <= step:
                    if axis.period > 1 or step * abs(axis.advance) > (rows.sum(0) + 1).min():
                        return False
                    continue
                one, other = (-rows[0, :-step], rows[1, :-step]), (-rows[0, step:], rows[1, step:])
                if ((other[0] - one[1] > 1) | (one[0] - other[1] > 1)).any():
                    return False
            elif axis.varies(dimension):
                return False
        return True

    def _one_spans_all(self, dimensions: Sequence[int]) -> bool:
        """Whether, along dimensions, some entry sees what all do; then their union has no more holes than it."""
        for dimension in dimensions:
            varied = [axis.bounds[EXTENDED] for axis in self.axes if axis.varies(dimension)]
            if not varied:
                continue
            along = np.ones(self.shape[dimension], bool)
            for rows in varied:
                whole = np.moveaxis(rows == rows.max(axis=dimension + 1, keepdims=True), dimension + 1, 0)
                along &= whole.reshape(len(whole), -1).all(axis=1)
            if not along.any():
                return False
        return True


def image(positions: Shape, channels: int) -> Node:
    """The network's input: every position sees itself."""
    axes = []
    for k, size in enumerate(positions):
        place = np.arange(size, dtype=np.int32)
        shape = [size if d == k + 1 else 1 for d in range(len(positions) + 2)]
        axes.append(Axis(np.stack([-place, place] * 3).reshape(6, *shape), k + 1))
    return Node((1, *positions, channels), tuple(axes), boundary=True)


def support(node: Node, chosen: Mask) -> np.ndarray:
    """The input positions that any of the chosen entries depends on, as a mask over the spatial axes."""
    masks, waiting = {node.number: (node, chosen)}, [-node.number]
    found: np.ndarray | None = None
    while waiting:
        here, mask = masks.pop(-heapq.heappop(waiting))
        if not here.parents:
            seen = np.any(np.broadcast_to(mask, here.shape), axis=(0, -1))
            found = seen if found is None else found | seen
        for parent, back in here.parents:
            before = back(mask)
            if not before.any():
                continue
            if parent.number in masks:
                before = masks[parent.number][1] | before
            else:
                heapq.heappush(waiting, -parent.number)
            masks[parent.number] = parent, before
    return np.zeros((1,) * len(node.axes), bool) if found is None else found


def _scattered(mask: Mask, dimension: int, size: int, taps: Taps) -> Mask:
    """The entries that windows look at, from those of the outputs."""
    outputs = len(taps.index)
    if mask.shape[dimension] != outputs:
        mask = np.repeat(mask, outputs, dimension)
    mask = np.moveaxis(mask, dimension, 0)
    chosen = np.flatnonzero(mask.reshape(outputs, -1).any(axis=1))
    before = np.zeros((size, *mask.shape[1:]), bool)
    for column in taps.index[chosen].T:
        inside = (column >= 0) & (column < size)
        if (np.diff(column[inside]) > 0).all():  # every entry once
            before[column[inside]] |= mask[chosen[inside]]
        else:
            np.logical_or.at(before, column[inside], mask[chosen[inside]])
    return np.moveaxis(before, 0, dimension)


def _in_groups(values: np.ndarray, dimension: int, groups: int, size: int) -> np.ndarray:
    """The maximum in each of `groups` of a dimension, for every entry of the group's share of `size`."""
    shape = values.shape
    grouped = values.reshape(*shape[:dimension], groups, -1, *shape[dimension + 1 :]).max(axis=dimension + 1)
    return np.repeat(grouped, size // groups, dimension)


def _grouped(axis: Axis, dimension: int, groups: int, size: int) -> Axis:
    if not axis.varies(dimension):
        return axis
    return replace(axis, bounds=_in_groups(axis.bounds, dimension + 1, groups, size))
