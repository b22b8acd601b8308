"""Flatten and upsample against NumPy."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.layers.resample import Flatten, Upsample
from cnnlab.layers.windows import ShapeError


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
