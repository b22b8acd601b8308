"""Several arrays that make one: element by element, or end to end along a dimension."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cnnlab.receptive_field.axis import CLIPPED, EMPTY, EXTENDED, FAR, Axis, Shape
from cnnlab.receptive_field.merge import Merge
from cnnlab.receptive_field.node import Mask, Node


@dataclass(frozen=True)
class Context:
    """The input's spatial axes, whether global operations are left out, and the operations that have no exact rule."""

    positions: Shape
    ignore_global: bool = False
    inexact: set[str] = field(default_factory=set)

    def merge(self, k: int, name: str, *, apart: bool) -> Merge:
        return Merge(self.positions[k], apart, self.ignore_global, lambda: self.inexact.add(name))


def join(nodes: Sequence[Node], name: str, context: Context) -> Node:
    """Entries that depend on the same entry of each node; shapes are one."""
    nodes = list(dict.fromkeys(nodes))
    first = nodes[0]
    if len(nodes) == 1:
        return first
    apart = len({node.source for node in nodes}) > 1
    axes: list[Axis] = []
    differ = _differing(nodes)
    for k, axis in enumerate(first.axes):
        if k in differ:
            axes.append(context.merge(k, name, apart=apart).elementwise([_visible(node, k, differ) for node in nodes]))
        else:
            axes.append(replace(axis, offset=max(node.axes[k].offset for node in nodes)))
    solid = all(node.solid for node in nodes) and _joined_solidly(nodes, axes)
    source = frozenset().union(*(node.source for node in nodes))
    return Node(first.shape, tuple(axes), solid, source, parents=tuple((node, lambda mask: mask) for node in nodes))


def concatenate(
    nodes: Sequence[Node | None], sizes: Sequence[int], dimension: int, name: str, context: Context
) -> Node:
    """Pieces of `sizes` end to end along a dimension; None does not depend on the image."""
    known = [node for node in nodes if node is not None]
    apart = len({node.source for node in known}) > 1
    axes: list[Axis] = []
    differ = _differing(known)
    for k in range(len(context.positions)):
        pieces = [node and (_visible(node, k, differ) if k in differ else node.axes[k]) for node in nodes]
        merge = context.merge(k, name, apart=apart)
        here = any(node.axes[k].place == dimension for node in known)
        axes.append((merge.end_to_end if here else merge.beside)(pieces, sizes, dimension))
    shape = known[0].shape
    starts = np.cumsum([0, *sizes])

    def back(start: int, end: int, mask: Mask) -> Mask:
        return mask if mask.shape[dimension] == 1 else mask.take(range(start, end), dimension)

    parents = tuple(
        (node, lambda mask, i=i: back(starts[i], starts[i + 1], mask))
        for i, node in enumerate(nodes)
        if node is not None
    )
    source = frozenset().union(*(node.source for node in known))
    shape = (*shape[:dimension], int(starts[-1]), *shape[dimension + 1 :])
    return Node(shape, tuple(axes), all(node.solid for node in known), source, parents=parents)


def everything(nodes: Sequence[Node], shape: Shape) -> Node:
    """An array of `shape`, every entry of which may depend on everything."""
    axes: list[Axis] = []
    for k in range(len(nodes[0].axes)):
        rows = [node.axes[k].bounds.reshape(6, -1).max(axis=1) for node in nodes]
        bounds = np.max(rows, axis=0).reshape(6, *[1] * len(shape))
        axes.append(Axis(bounds, None).unbounded(None))
    source = frozenset().union(*(node.source for node in nodes))
    parents = tuple((node, lambda mask, node=node: np.ones([1] * len(node.shape), bool)) for node in nodes)
    return Node(tuple(shape), tuple(axes), all(node.solid for node in nodes), source, parents=parents)


def _differing(nodes: Sequence[Node]) -> set[int]:
    """The axes along which nodes do not all see the same."""
    first, *others = nodes
    return {k for k, axis in enumerate(first.axes) if not all(_alike(axis, node.axes[k]) for node in others)}


def _visible(node: Node, k: int, differ: set[int]) -> Axis:
    """An axis of which entries see nothing where they see nothing of another that differs too, so that padding
    along one axis adds nothing along another."""
    axis = node.axes[k]
    for other in differ - {k}:
        if node.axes[other].has_empty:
            empty = node.axes[other].bounds[1:2] < -FAR
            shape = np.broadcast_shapes(axis.bounds.shape[1:], empty.shape[1:])
            bounds = np.array(np.broadcast_to(axis.bounds, (6, *shape)))
            bounds[CLIPPED] = np.where(empty, EMPTY, bounds[CLIPPED])
            axis = replace(axis, bounds=bounds)
    return axis


def _alike(one: Axis, other: Axis) -> bool:
    if one.bounds is not other.bounds and not np.array_equal(one.bounds, other.bounds):
        return False
    return (one.place, one.stride) == (other.place, other.stride)


def _joined_solidly(nodes: Sequence[Node], axes: Sequence[Axis]) -> bool:
    """Whether the union of boxes is a box: one of them is the union, or they differ along one axis only and each
    touches those before it."""
    differ = [k for k, axis in enumerate(axes) if any(not _equal(node.axes[k], axis) for node in nodes)]
    if any(all(_equal(node.axes[k], axes[k]) for k in differ) for node in nodes):
        return True
    if len(differ) > 1:
        return False
    union, *others = (node.axes[differ[0]].bounds[EXTENDED] for node in nodes)
    for rows in others:
        if (-rows[0] - union[1] > 1).any() or (-union[0] - rows[1] > 1).any():
            return False
        union = np.maximum(union, rows)
    return True


def _equal(one: Axis, other: Axis) -> bool:
    """Whether two axes have the same extended field."""
    if one.bounds is other.bounds:
        return True
    mine, rows = one.bounds[EXTENDED], other.bounds[EXTENDED]
    return bool((mine == rows).all())
