"""Tiles against loops over NumPy arrays: a convolution of the whole is what its tiles give."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.runs.tiles import Side, Tiles, mapped, ramp, tiles


def averages(x: np.ndarray, radius: int, *, same: bool) -> np.ndarray:
    """[1, *space, channel]: each position's mean over the channel-wise box around it, zeros outside, by a loop."""
    space = x.shape[1:-1]
    padded = np.pad(x[0], [(radius * same,) * 2 for _ in space] + [(0, 0)])
    new = [n - 2 * radius for n in padded.shape[:-1]]
    found = np.empty((1, *new, x.shape[-1]), np.float32)
    for place in np.ndindex(*new):
        found[0][place] = padded[tuple(slice(p, p + 2 * radius + 1) for p in place)].sum(tuple(range(len(space))))
    return found


def answer(x, sides, forward, tile=None, overlap=0):
    sizes = tuple(side.whole(n) for side, n in zip(sides, x.shape, strict=False))
    plan = tuple(tiles(side, n, tile or n, overlap) for side, n in zip(sides, sizes, strict=True))
    return mapped(forward, x, sides, sizes, plan), plan


@settings(max_examples=25, deadline=None)
@given(st.tuples(st.integers(1, 30), st.integers(1, 30)), st.integers(1, 2), st.integers(0, 4), st.booleans())
def test_tiles_are_the_whole_where_the_field_is_smaller_than_the_overlap(space, radius, more, same):
    """A field of 2 radius + 1 positions, an overlap of that or more: everywhere, the image's borders too."""
    x = np.random.default_rng(0).integers(0, 9, (*space, 2)).astype(np.float32)
    side = Side(16, reach=(radius, radius)) if same else Side(16, lost=2 * radius)
    overlap = 2 * radius + 1 + more

    def forward(part):
        return averages(part, radius, same=same)

    found, plan = answer(x, (side, side), forward, tile=14, overlap=overlap)
    whole, single = answer(x, (side, side), forward)
    assert found.shape == whole.shape == (*space, 2)
    assert all(axis.starts == (0,) for axis in single)
    assert all((len(axis.starts) > 1) == (n > 14 - side.lost) for axis, n in zip(plan, space, strict=True))
    np.testing.assert_allclose(found, whole, rtol=1e-6)
    mirrored = np.pad(x, [(radius, radius)] * 2 + [(0, 0)], mode="constant" if same else "reflect")
    np.testing.assert_allclose(whole, averages(mirrored[None], radius, same=False)[0], rtol=1e-6)


def halves(x: np.ndarray) -> np.ndarray:
    """The greatest of each 2 x 2 pixels on all four: a pool and its upsampling, of even sizes alone."""
    _, height, width, channels = x.shape
    assert height % 2 == width % 2 == 0
    pooled = x.reshape(1, height // 2, 2, width // 2, 2, channels).max((2, 4))
    return pooled.repeat(2, 1).repeat(2, 2)


@pytest.mark.parametrize("space", [(9, 21), (1, 3), (8, 30), (31, 2)])
def test_sizes_that_the_stride_does_not_divide(space):
    """The reflection of the last column makes the size even; pools meet the same pixels in every tile."""
    x = np.random.default_rng(1).random((*space, 1), dtype=np.float32)
    side = Side(16, period=2)
    found, _ = answer(x, (side, side), halves, tile=12, overlap=3)
    even = np.pad(x, [(0, n % 2) for n in space] + [(0, 0)], mode="reflect")
    np.testing.assert_allclose(found, halves(even[None])[0, : space[0], : space[1]], rtol=1e-6)


def test_blended_against_a_loop():
    """Tiles that do not agree: each position is the weighted mean of the tiles that hold it."""
    side, x = Side(8), np.zeros((20, 1), np.float32)
    calls = iter(range(100))

    def forward(part):
        return np.full((1, part.shape[1], 1), next(calls), np.float32)

    found, (plan,) = answer(x, (side,), forward, tile=8, overlap=4)
    assert plan.starts == (0, 4, 8, 12)
    for place in range(20):
        values, weights = [], []
        for number, start in enumerate(plan.starts):
            if start <= place < start + 8:
                rises = min((place - start + 0.5) / 4, 1) if number > 0 else 1
                falls = min((start + 8 - place - 0.5) / 4, 1) if number < 3 else 1
                values.append(number)
                weights.append(rises * falls)
        assert found[place, 0] == pytest.approx(np.average(values, weights=weights))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 200), st.integers(1, 8), st.integers(0, 3), st.integers(0, 30), st.integers(1, 4))
def test_every_position_is_covered(whole, period, lost, overlap, steps):
    side = Side(5 * period, period, lost * period)
    whole = side.fitting(whole + side.lost)
    tile = side.fitting(overlap + side.lost + steps * period)
    plan = tiles(side, whole, tile, overlap)
    total = np.zeros(whole - side.lost)
    for start, weights in zip(plan.starts, plan.weights, strict=True):
        assert start % period == 0
        assert len(weights) == plan.size - side.lost
        total[start : start + len(weights)] += weights
    assert (total > 0).all()
    assert plan.starts[-1] + plan.size == whole
    assert all(left + plan.size - side.lost - right >= overlap for left, right in pairwise(plan.starts))


def test_sizes():
    """The U-Net of the paper: 572 to 388 by valid convolutions, pools of 2 ** 4."""
    unet = Side(572, period=16, lost=184)
    assert (unet.fitting(300), unet.fitting(572), unet.before) == (300, 572, 96)
    assert unet.fitting(301) == 316
    assert unet.whole(388) == unet.fitting(96 + 388 + 92) == 588  # 96, not 92: the pools meet the pixels as before
    assert Side(64, period=4, reach=(5, 3)).margins == (8, 4)
    assert Side(64, reach=(-2, 0)).margins == (0, 0)
    np.testing.assert_allclose(ramp(4, (1, 1)), [0, 0.25, 0.75, 1])
    np.testing.assert_allclose(ramp(2, (1, 1)), [0.25, 0.75])  # no room: over all of it
    assert tiles(Side(8), 6, 8, 2).size == 6
    assert isinstance(tiles(Side(8), 6, 8, 2), Tiles)
