"""Bounds go through a reshape as data does, and a place that is found advances as it says."""

from math import prod

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cnnlab.receptive_field.axis import Axis
from cnnlab.receptive_field.reshape import folded, reshaped

shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(lambda sizes: (1, *sizes))


@st.composite
def reshapes(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A shape, and another of as many entries: its prime factors, grouped anew."""
    old = draw(shapes)
    factors = [f for n in old for f in ([2, 2] if n == 4 else [n])]
    new: list[int] = [1]
    for factor in factors:
        if draw(st.booleans()):
            new.append(factor)
        else:
            new[-1] *= factor
    return old, (1, *new)


def axis_along(shape: tuple[int, ...], place: int, advance: int) -> Axis:
    first = np.arange(shape[place], dtype=np.int32) * advance
    rows = np.stack([-first, first + 2] * 3)
    return Axis(rows.reshape(6, *(n if d == place else 1 for d, n in enumerate(shape))), place, 1, advance)


@given(reshapes(), st.data())
def test_bounds_are_reshaped_as_an_array_is(pair: tuple[tuple[int, ...], tuple[int, ...]], data: st.DataObject):
    old, new = pair
    place = data.draw(st.integers(1, len(old) - 1))
    axis = axis_along(old, place, data.draw(st.integers(1, 5)))
    found = reshaped(axis, old, new)
    expected = np.broadcast_to(axis.bounds, (6, *old)).reshape(6, *new)
    np.testing.assert_array_equal(np.broadcast_to(found.bounds, (6, *new)), expected)
    if found.place is not None:
        rows = np.moveaxis(expected, found.place + 1, 1)
        further = rows[1, found.period :] - rows[1, : max(rows.shape[1] - found.period, 0)]
        assert (further == found.advance).all()


@given(reshapes())
def test_a_map_keeps_a_place_that_is_alone(pair: tuple[tuple[int, ...], tuple[int, ...]]):
    old, _ = pair
    for place in range(1, len(old)):  # but a vector has none
        assert reshaped(axis_along(old, place, 3), old, old).place == (place if len(old) > 2 else None)


@given(reshapes(), st.data())
def test_a_mask_goes_back_to_where_it_came_from(pair: tuple[tuple[int, ...], tuple[int, ...]], data: st.DataObject):
    old, new = pair
    chosen = data.draw(st.integers(0, prod(old) - 1))
    mask = (np.arange(prod(old)) == chosen).reshape(new)
    np.testing.assert_array_equal(folded(mask, new, old), mask.reshape(old))
