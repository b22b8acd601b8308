"""The report's row for what a layer returned."""

from fractions import Fraction

import numpy as np

from cnnlab.receptive_field.axis import EXTENDED, FAR, NARROWEST, Axis, Shape
from cnnlab.receptive_field.node import Node
from cnnlab.receptive_field.report import Extent, Layer, Window
from cnnlab.receptive_field.units import Units
from cnnlab.trace.cost import operation
from cnnlab.trace.walk import Call


def row(call: Call, node: Node, positions: Shape, window: Window | None) -> Layer:
    """The row of a call that returned `node`."""
    extents = tuple(_extent(node, k, size) for k, size in enumerate(positions))
    units = Units(
        node, [axis.place if extent else None for axis, extent in zip(node.axes, extents, strict=True)], positions
    )
    spans, density = units.interval(units.center), units.density(units.center)
    before = _before(node, extents)
    offset = tuple(axis.offset if extent else Fraction(0) for axis, extent in zip(node.axes, extents, strict=True))
    outgrown = [size >= n for size, n in zip(before, positions, strict=True) if size is not None]
    flags = {
        "global": not all(extents),
        "misaligned": any(offset),
        "gridding": density < 1,
        "unproductive": bool(outgrown) and all(outgrown),
        "saturated": all(extents) and units.saturated(),
    }
    seen = 0.0 if spans is None else np.prod([last - first + 1 for first, last in spans]) / np.prod(positions)
    chosen = tuple(flag for flag, holds in flags.items() if holds)
    figures = (extents, chosen, offset, float(seen), density, window or _window(node, extents), before, units)
    return Layer(call.path, operation(call), call.output_shape, *figures)


def row_without_node(call: Call, axes: int, flag: str, window: Window | None) -> Layer:
    """The row of a call whose output is constant, or that lies inside an operation without a rule ("global")."""
    nothing = (None,) * axes
    seen = 1.0 if flag == "global" else 0.0
    figures = (nothing, (flag,), (Fraction(0),) * axes, seen, 1.0, window, nothing, None)
    return Layer(call.path, operation(call), call.output_shape, *figures)


def _extent(node: Node, k: int, positions: int) -> Extent | None:
    """The field along one axis; None where units have no place along it, or the field has no bounds."""
    axis = node.axes[k]
    if axis.place is None or axis.endless:
        return None
    shared = any(other.place == axis.place for other in node.axes if other is not axis)
    rows = _union_over_others(axis.bounds, axis.place + 1)
    last_dimension = axis.place == len(node.shape) - 1
    if shared or (last_dimension and _repeats(rows)):
        return None  # flattened
    seen = np.flatnonzero(rows[EXTENDED].sum(0) > -FAR)
    if not len(seen):
        return None
    before, behind = rows[EXTENDED]
    sizes = (before + behind + 1)[seen]
    narrow = (rows[NARROWEST].sum(0) + 1)[seen]
    # A broadcast map has one entry here, whatever its size.
    return Extent(
        size=(int(sizes.min()), int(sizes.max())),
        stride=axis.stride,
        padding=(int(before[seen[0]]), int(behind[seen[-1]]) - (positions - 1)),
        first_center=Fraction(int(behind[seen[0]]) - int(before[seen[0]]), 2),
        narrowest=int(narrow[narrow > 0].min(initial=sizes.min())),
    )


def _window(node: Node, extents: tuple[Extent | None, ...]) -> Window | None:
    """The window of a pooling that is written as slices, told by what it does to the field."""
    inputs = _inputs(node)
    if len(inputs) != 1 or not all(extents):
        return None
    kernel, stride = [], []
    for after, (k, axis) in zip(extents, enumerate(inputs[0].axes), strict=True):
        before = _extent(inputs[0], k, 0)
        if after is None or before is None or not axis.advance or after.size[0] != after.size[1]:
            return None
        step = after.stride / before.stride
        taps = (after.size[0] - before.size[1]) / before.stride + 1
        if step.denominator > 1 or taps.denominator > 1:
            return None
        kernel.append(int(taps))
        stride.append(int(step))
    same = set(kernel) == set(stride) == {1}
    return None if same else Window(tuple(kernel), tuple(stride), (1,) * len(kernel))


def _union_over_others(bounds: np.ndarray, dimension: int) -> np.ndarray:
    """[6, entries] along one dimension. Taking a maximum over single entries would cost as much as over many."""
    rows = np.moveaxis(bounds, dimension, 1).reshape(6, bounds.shape[dimension], -1)
    return rows[..., 0] if rows.shape[2] == 1 else rows.max(axis=2)


def _repeats(rows: np.ndarray) -> bool:
    """Whether entries come in groups that see the same, as positions do whose channels were flattened."""
    return rows.shape[1] > 1 and bool((rows[:, 0] == rows[:, 1]).all())


def _before(node: Node, extents: tuple[Extent | None, ...]) -> tuple[int | None, ...]:
    """The largest field of the layer's inputs, at its smallest phase, along axes where the layer widens it."""
    found: list[int | None] = []
    inputs = _inputs(node)
    for k, extent in enumerate(extents):
        sizes = [size for other in inputs if (size := _size(other.axes[k])) is not None]
        before = max(sizes, default=(0, 0))
        found.append(before[0] if extent and sizes and extent.size[1] > before[1] else None)
    return tuple(found)


def _inputs(node: Node) -> list[Node]:
    """The arrays that a layer was given, from what it returned."""
    found, waiting, known = [], [parent for parent, _ in node.parents], set[int]()
    while waiting:
        here = waiting.pop()
        if here.number in known:
            continue
        known.add(here.number)
        if here.boundary:
            found.append(here)
        else:
            waiting.extend(parent for parent, _ in here.parents)
    return found


def _size(axis: Axis) -> tuple[int, int] | None:
    size = axis.bounds[EXTENDED].sum(0) + 1
    size = size[size > 0]
    return None if axis.endless or not size.size else (int(size.min()), int(size.max()))
