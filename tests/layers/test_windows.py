"""Padding and sizes against brute force, and every sentence about a window that does not fit."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.layers.windows import ShapeError, check_fits, pads, per_axis, show, spatial_axes

AXIS = st.tuples(st.integers(1, 20), st.integers(1, 7), st.integers(1, 5), st.integers(1, 4))


def positions(size: int, window: int, stride: int, dilation: int) -> int:
    """How many windows lie inside, counted one by one."""
    return sum(1 for start in range(0, size, stride) if start + (window - 1) * dilation < size)


@settings(deadline=None)
@given(st.lists(AXIS, min_size=1, max_size=3))
def test_same_adds_the_fewest_zeros_that_give_a_window_at_every_stride_the_odd_one_behind(axes):
    space, window, stride, dilation = zip(*axes, strict=True)
    for (low, high), (size, k, s, d) in zip(pads("same", space, window, stride, dilation), axes, strict=True):
        wanted = len(range(0, size, s))
        fewest = next(n for n in range(100) if positions(size + n, k, s, d) >= wanted)
        assert low + high == fewest
        assert high - low in (0, 1)


@settings(deadline=None)
@given(st.lists(AXIS, min_size=1, max_size=3))
def test_ceil_adds_a_window_where_one_begins_on_the_map_and_sees_what_no_other_does(axes):
    """As torch's ceil_mode: ceil((size - reach) / stride) + 1 windows, without one that begins behind the map."""
    axes = [(max(size, (k - 1) * d + 1), k, s, d) for size, k, s, d in axes]
    space, window, stride, dilation = zip(*axes, strict=True)
    for (low, high), (size, k, s, d) in zip(pads("ceil", space, window, stride, dilation), axes, strict=True):
        reach = (k - 1) * d + 1
        wanted = math.ceil((size - reach) / s) + 1
        wanted -= (wanted - 1) * s >= size
        fewest = next(n for n in range(100) if positions(size + n, k, s, d) >= wanted)
        assert (low, high) == (0, fewest)


def test_ceil_lends_a_map_smaller_than_the_window_less_than_a_stride():
    assert pads("ceil", (2,), (3,), (2,), (1,)) == ((0, 1),)
    with pytest.raises(ShapeError, match=r"^the map is 2 here, smaller than the window 4$"):
        check_fits((2,), (4,), (1,), pads("ceil", (2,), (4,), (2,), (1,)))


@pytest.mark.parametrize(
    ("padding", "expected"),
    [("valid", ((0, 0), (0, 0))), (2, ((2, 2), (2, 2))), (((1, 0), (2, 3)), ((1, 0), (2, 3)))],
)
def test_padding_by_name_number_and_pairs(padding, expected):
    assert pads(padding, (5, 6), (3, 3), (2, 1), (1, 1)) == expected


@pytest.mark.parametrize("padding", [((1, 1),), "full"])
def test_padding_for_another_count_of_axes_is_refused(padding):
    with pytest.raises(ShapeError, match=r"^padding .* does not fit a map of 2 spatial axes$"):
        pads(padding, (5, 6), (3, 3), (1, 1), (1, 1))


@settings(deadline=None)
@given(st.lists(AXIS, min_size=1, max_size=3), st.integers(0, 3), st.integers(0, 3))
def test_a_window_fits_where_it_has_a_position(axes, low, high):
    space, window, _, dilation = zip(*axes, strict=True)
    padding = ((low, high),) * len(space)
    fits = all(positions(size + low + high, k, 1, d) for size, k, _, d in axes)
    if fits:
        check_fits(space, window, dilation, padding)
    else:
        with pytest.raises(ShapeError, match=f"^the map is {show(space)} here"):
            check_fits(space, window, dilation, padding)


@pytest.mark.parametrize(
    ("window", "dilation", "padding", "sentence"),
    [
        ((2, 2), (1, 1), 0, "the map is 1x1 here, smaller than the window 2x2"),
        ((4, 3), (1, 1), 1, "the map is 1x1 here with its padding, smaller than the window 4x3"),
        ((3, 3), (2, 1), 0, "the map is 1x1 here, smaller than the window 3x3 dilated to 5x3"),
    ],
)
def test_the_sentence_names_map_padding_window_and_dilation(window, dilation, padding, sentence):
    with pytest.raises(ShapeError) as caught:
        check_fits((1, 1), window, dilation, ((padding, padding),) * 2)
    assert str(caught.value) == sentence


def test_one_number_stands_for_every_axis():
    assert per_axis(3, 3, "kernel") == (3, 3, 3)
    assert per_axis((1, 2), 2, "kernel") == (1, 2)
    assert per_axis(2, 0, "kernel") == ()
    with pytest.raises(ShapeError, match=r"^kernel \[3, 3\] has 2 numbers, and the map 1 spatial axes$"):
        per_axis((3, 3), 1, "kernel")


def test_spatial_axes_lie_between_batch_and_channels():
    assert [spatial_axes((4,) * rank) for rank in (3, 4, 5)] == [1, 2, 3]
    with pytest.raises(ShapeError, match=r"^needs a map with spatial axes, and gets a vector of 64$"):
        spatial_axes((1, 64))
