"""Flatten, pad and upsample against NumPy."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.layers.resample import Flatten, Pad, Upsample
from cnnlab.layers.windows import ShapeError

NUMPY = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def run(layer, x: np.ndarray) -> np.ndarray:
    return np.asarray(layer(jnp.asarray(x)))


@pytest.mark.parametrize("space", [(), (3,), (2, 3), (2, 3, 2)])
def test_flatten_has_the_channels_fastest(space):
    x = random(2, *space, 4)
    y = run(Flatten(), x)
    assert y.shape == (2, math.prod(space) * 4)
    for place in np.ndindex(2, *space, 4):
        column = 0
        for index, length in zip(place[1:], x.shape[1:], strict=True):
            column = column * length + index
        assert y[place[0], column] == x[place]


@pytest.mark.parametrize("mode", NUMPY)
@pytest.mark.parametrize(
    ("space", "padding", "pairs"),
    [
        ((5,), 2, [(2, 2)]),
        ((4, 5), 1, [(1, 1), (1, 1)]),
        ((4, 5), ((0, 3), (2, 0)), [(0, 3), (2, 0)]),
        ((3, 4, 2), ((1, 2), (0, 0), (1, 1)), [(1, 2), (0, 0), (1, 1)]),
    ],
)
def test_padding_is_numpys(mode, space, padding, pairs):
    x = random(2, *space, 3)
    y = run(Pad(padding, axes=len(space), mode=mode), x)
    np.testing.assert_array_equal(y, np.pad(x, [(0, 0), *pairs, (0, 0)], mode=NUMPY[mode]))


@pytest.mark.parametrize(
    ("mode", "largest", "sentence"),
    [
        ("reflect", 2, r"the map is 3x3 here, too small for reflect padding \(\(3, 3\), \(3, 3\)\)"),
        ("circular", 3, r"the map is 3x3 here, too small for circular padding \(\(4, 4\), \(4, 4\)\)"),
    ],
)
def test_a_map_that_has_not_enough_to_reflect_or_repeat_is_refused(mode, largest, sentence):
    x = random(1, 3, 3, 1)
    assert run(Pad(largest, axes=2, mode=mode), x).shape == (1, 3 + 2 * largest, 3 + 2 * largest, 1)
    with pytest.raises(ShapeError, match=f"^{sentence}$"):
        run(Pad(largest + 1, axes=2, mode=mode), x)


@pytest.mark.parametrize("mode", ["zeros", "replicate"])
def test_zeros_and_edges_reach_as_far_as_one_likes(mode):
    assert run(Pad(9, axes=1, mode=mode), random(1, 2, 1)).shape == (1, 20, 1)


def test_padding_by_name_or_for_other_axes_is_refused():
    with pytest.raises(ShapeError, match=r"^padding must be numbers here, not same$"):
        Pad("same", axes=2)
    with pytest.raises(ShapeError, match=r"^padding \(\(1, 1\),\) does not fit a map of 2 spatial axes$"):
        Pad(((1, 1),), axes=2)


def linear(x: np.ndarray, axis: int, factor: int) -> np.ndarray:
    """Interpolation between the centres of the old positions; beyond the outermost ones their values hold."""
    n = x.shape[axis]
    values = []
    for i in range(n * factor):
        at = min(max((i + 0.5) / factor - 0.5, 0), n - 1)
        low = min(int(at), max(n - 2, 0))
        high = min(low + 1, n - 1)
        share = at - low
        values.append((1 - share) * x.take(low, axis) + share * x.take(high, axis))
    return np.stack(values, axis)


SIZES = [((5,), 3), ((3, 4), 2), ((3, 4), (1, 4)), ((2, 1, 3), 2)]


@pytest.mark.parametrize(("space", "factor"), SIZES)
def test_upsampling_repeats_the_nearest(space, factor):
    x = random(2, *space, 3)
    factors = np.broadcast_to(factor, len(space)).tolist()
    y = run(Upsample(factor, axes=len(space)), x)
    assert y.shape == (2, *(n * f for n, f in zip(space, factors, strict=True)), 3)
    for batch, *place in np.ndindex(y.shape[:-1]):
        source = tuple(i // f for i, f in zip(place, factors, strict=True))
        np.testing.assert_array_equal(y[(batch, *place)], x[(batch, *source)])


@pytest.mark.parametrize(("space", "factor"), SIZES)
def test_bilinear_upsampling_interpolates_between_centres(space, factor):
    x = random(2, *space, 3)
    expected = x.astype(np.float64)
    for axis, f in enumerate(np.broadcast_to(factor, len(space)).tolist(), start=1):
        expected = linear(expected, axis, f)
    y = run(Upsample(factor, axes=len(space), method="bilinear"), x)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_upsampling_wants_a_factor_an_axis():
    with pytest.raises(ShapeError, match=r"^factor \[2, 2, 2\] has 3 numbers, and the map 2 spatial axes$"):
        Upsample((2, 2, 2), axes=2)
