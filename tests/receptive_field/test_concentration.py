"""What holds a share of a map, against counting, and the Gaussian, against closed forms."""

import json
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from cnnlab.receptive_field.concentration import gaussian, held


def maps(shape: tuple[int, ...], seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).random(shape) ** 4
    return values / values.sum()


@st.composite
def cases(draw) -> tuple[np.ndarray, tuple[float, ...], float]:
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))
    center = tuple(draw(st.integers(0, 2 * (n - 1))) / 2 for n in shape)
    return maps(shape, draw(st.integers(0, 99))), center, draw(st.sampled_from([0.2, 0.5, 0.95, 0.99]))


def alone(shares: np.ndarray, axis: int, span: tuple[int, int]) -> float:
    """What an interval of one axis holds, whatever the others."""
    return float(np.moveaxis(shares, axis, 0)[span[0] : span[1] + 1].sum())


def around(middle: float, n: int) -> list[tuple[int, int]]:
    """The intervals around a centre, from the shortest: of those that are alike on the map the first."""
    spans = [(ceil(middle - reach), floor(middle + reach)) for reach in (middle % 1 + k for k in range(n + 1))]
    return list(dict.fromkeys((max(first, 0), min(last, n - 1)) for first, last in spans))


@settings(deadline=None)
@given(cases())
def test_the_box_is_the_first_that_holds_the_share(case):
    """Of all boxes of intervals that hold q each on its axis alone, for growing q."""
    shares, center, share = case
    spans = [around(middle, n) for middle, n in zip(center, shares.shape, strict=True)]
    for part in sorted({alone(shares, axis, span) for axis, each in enumerate(spans) for span in each}):
        box = tuple(
            next(span for span in each if alone(shares, axis, span) >= part - 1e-11) for axis, each in enumerate(spans)
        )
        if shares[tuple(slice(first, last + 1) for first, last in box)].sum() >= share - 1e-9:
            break
    assert held(shares, center, share).box == box


@settings(deadline=None)
@given(cases())
def test_the_pixels_are_the_fewest_that_hold_the_share(case):
    shares, center, share = case
    falling = sorted(shares.flat, reverse=True)
    count = held(shares, center, share).pixels
    assert sum(falling[:count]) >= share - 1e-8
    assert count == 1 or sum(falling[: count - 1]) < share


def test_boxes_by_hand():
    shares = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 8
    assert held(shares, (1, 1), 0.5).box == ((1, 1), (1, 1))
    assert held(shares, (1, 1), 0.5).pixels == 1
    assert held(shares, (1, 1), 0.6).box == ((0, 2), (0, 2))
    assert held(shares, (1, 1), 0.6).pixels == 2
    assert held(shares, (0.5, 1), 0.6).box == ((0, 1), (1, 1))  # a centre between two positions
    long = np.array([[1, 2, 4, 2, 1]]) / 10
    assert held(long, (0, 2), 0.79).box == ((0, 0), (1, 3))
    assert held(long, (0, 0), 0.79).box == ((0, 0), (0, 3))  # the map ends at the centre


@pytest.mark.parametrize("sigma", [(3.0,), (2.0, 5.0), (1.5, 2.0, 2.5)])
def test_a_gaussian_is_itself(sigma):
    shares = np.ones(())
    for s in sigma:
        shares = np.multiply.outer(shares, norm.pdf(np.arange(61), 30, s))
    found = gaussian(shares / shares.sum())
    assert found.sigma == pytest.approx(sigma, rel=1e-6)
    assert found.mean == pytest.approx([30] * len(sigma))
    assert found.r_squared == pytest.approx(1, abs=1e-9)
    box = held(shares / shares.sum(), (30,) * len(sigma), 0.95).box
    # Each axis alone keeps the same share, 0.95 ** (1 / axes).
    reach = [norm.ppf(0.5 + 0.95 ** (1 / len(sigma)) / 2) * s for s in sigma]
    assert [(last - first) / 2 for first, last in box] == pytest.approx(reach, abs=1)


@pytest.mark.parametrize("shape", [(50,), (20, 30), (5, 6, 7)])
def test_moments_are_those_of_the_positions_weighted(shape):
    shares = maps(shape, 3)
    found = gaussian(shares)
    positions = np.indices(shape).reshape(len(shape), -1)
    mean = np.average(positions, axis=1, weights=shares.ravel())
    deviation = np.sqrt(np.average((positions - mean[:, None]) ** 2, axis=1, weights=shares.ravel()))
    np.testing.assert_allclose(found.mean, mean)
    np.testing.assert_allclose(found.sigma, deviation)
    assert found.r_squared is not None
    assert found.r_squared < 0.5  # noise is no Gaussian


def test_the_ends_of_what_a_map_can_be():
    point = np.zeros((5, 7))
    point[2, 3] = 1
    assert gaussian(point).sigma == (0, 0)
    assert gaussian(point).r_squared == pytest.approx(1)
    flat = gaussian(np.full((4, 6), 1 / 24))
    assert flat.r_squared is None
    assert flat.sigma == pytest.approx([np.sqrt((n**2 - 1) / 12) for n in (4, 6)])
    assert json.loads(json.dumps(flat.to_json()))["r_squared"] is None
