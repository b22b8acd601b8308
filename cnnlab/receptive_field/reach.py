"""What an array in the middle of a network knows of one spatial axis of the input."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction

from cnnlab.receptive_field import windows
from cnnlab.receptive_field.windows import Field

Shape = tuple[int, ...]


class Reach(Enum):
    """Without a place of its own in the array: it knows the whole axis, or nothing of it."""

    WHOLE = "the whole axis"
    PARAMETER = "nothing, made from parameters"
    CONSTANT = "nothing, made from constants"


@dataclass(frozen=True)
class Local:
    """The input axis lives on array axis `axis`: index j there belongs to unit (j // inner) % units of `field`.

    In a map inner is 1 and units the array's extent; a reshape that merges axes makes it otherwise. `source`
    names the layers that the array came from, `offset` is the largest distance in input positions between the
    centres of paths that were merged on the way. `coarse` fields are those of a whole block of units, after a
    reshape that split the axis into blocks.
    """

    axis: int
    units: int
    field: Field = windows.IDENTITY
    source: frozenset[int] = frozenset()
    inner: int = 1
    offset: Fraction = Fraction(0)
    coarse: bool = False


Axis = Local | Reach


class Inexact(Exception):
    """No error: the result cannot be written as an Axis."""


def plain(local: Local, shape: Shape) -> Local:
    """The same with every index of its axis a unit of its own. Raises Inexact where an index is no position."""
    size = shape[local.axis]
    if local.inner == 1 and local.units == size:
        return local
    if local.inner * local.units != size or local.coarse:
        raise Inexact
    return replace(local, units=size, inner=1, field=windows.repeat(local.field, local.inner))


def broadcast(axis: Axis, before: Shape, after: Shape) -> Axis:
    """The same after an axis of one index grew. Shapes of one rank, or `before` a scalar's."""
    if not isinstance(axis, Local) or before[axis.axis] == after[axis.axis]:
        return axis
    local = plain(axis, before)
    return replace(local, units=after[axis.axis], field=windows.fixed(local.field))


def without(local: Local, gone: tuple[int, ...]) -> Axis:
    """The same after array axes went; without its own axis it has no place, and counts as knowing all."""
    if local.axis in gone:
        return Reach.WHOLE
    return replace(local, axis=local.axis - sum(axis < local.axis for axis in gone))


def merge(axes: Sequence[Axis], shape: Shape, positions: int) -> Axis:
    """What an array of `shape` knows where it depends on all of `axes`, of an input axis of `positions`.

    Paths that come from different layers and whose centres differ are noted in `offset`. Raises Inexact where
    their fields drift apart.
    """
    if Reach.WHOLE in axes:
        return Reach.WHOLE
    paths = [axis for axis in axes if isinstance(axis, Local)]
    if not paths:
        return Reach.PARAMETER if Reach.PARAMETER in axes else Reach.CONSTANT
    if len({(path.axis, path.units, path.inner) for path in paths}) > 1:
        paths = [plain(path, shape) for path in paths]
    first, *others = paths
    field = first.field
    for other in others:
        if other.axis != first.axis:
            raise Inexact
        joined = windows.union(field, other.field)
        if joined is None:
            if any(path.field.stride == 0 and sees_all(path.field, positions) for path in paths):
                return Reach.WHOLE
            raise Inexact
        field = joined
    return replace(
        first,
        field=field,
        source=frozenset().union(*(path.source for path in paths)),
        offset=max(_misalignment(paths), *(path.offset for path in paths)),
        coarse=any(path.coarse for path in paths),
    )


def _misalignment(paths: Sequence[Local]) -> Fraction:
    if len({path.source for path in paths}) == 1:  # within one layer: its window, written as slices
        return Fraction(0)
    centers = [center for path in paths if (center := path.field.center) is not None]
    return max(centers) - min(centers) if centers else Fraction(0)


def sees_all(field: Field, positions: int) -> bool:
    """Whether unit 0 sees every position of the input axis."""
    span = field.at(0)
    return span is not None and span[0] <= 0 and span[1] >= positions - 1
