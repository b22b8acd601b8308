"""Blur against SciPy; noise and cutout by what they leave."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from cnnlab.data.augment import example_keys
from cnnlab.data.augment.blur import blur, blurred
from cnnlab.data.augment.cutout import cutout, window
from cnnlab.data.augment.noise import noise
from cnnlab.spec.augment import Blur


def examples(*shape) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32)


@pytest.mark.parametrize("spatial", [(12,), (9, 7), (5, 6, 4)])
def test_blurred_as_scipy(spatial):
    x, deviations = examples(4, *spatial, 2), [0.0, 0.3, 1.0, 1.7]
    found = jax.jit(blurred, static_argnums=2)(x, jnp.array(deviations), 6)
    np.testing.assert_allclose(found[0], x[0], atol=1e-6)
    for i in range(1, 4):
        expected = [ndimage.gaussian_filter(x[i, ..., c], deviations[i], mode="nearest", radius=6) for c in range(2)]
        np.testing.assert_allclose(found[i], np.stack(expected, -1), atol=1e-5)


def test_blur_draws_a_width_for_each_example_that_it_changes():
    x = np.zeros((600, 15, 1), np.float32)
    x[:, 7] = 1
    found = np.asarray(blur(jnp.asarray(x), example_keys(0, 0, jnp.arange(600)), Blur(deviation=2, probability=0.7)))
    np.testing.assert_allclose(found.sum((1, 2)), 1, atol=1e-5)
    assert abs((found[:, 7, 0] < 0.999).mean() - 0.7) < 0.15  # the narrowest change nothing either
    assert found[:, 7].min() < 0.21, "a deviation near 2 leaves a fifth in the middle"


def test_noise_in_deviations_of_the_data():
    x = examples(400, 8, 8, 2)
    std = np.array([0.5, 2], np.float32)
    added = np.asarray(jax.jit(noise)(x, example_keys(0, 0, jnp.arange(400)), 0.1, std)) - x
    np.testing.assert_allclose(added.std((0, 1, 2)), [0.05, 0.2], rtol=0.03)
    np.testing.assert_allclose(added.mean((0, 1, 2)), 0, atol=0.005)
    assert abs(np.corrcoef(added[0].ravel(), added[1].ravel())[0, 1]) < 0.4


@pytest.mark.parametrize(("spatial", "size"), [((9,), (4,)), ((8, 7), (3, 2)), ((4, 5, 6), (1, 2, 3))])
def test_cutout_is_one_black_window(spatial, size):
    x = 1 + examples(200, *spatial, 2)
    found = np.asarray(cutout(jnp.asarray(x), example_keys(0, 0, jnp.arange(200)), size, 0.5))
    black = (found == 0).all(-1)
    np.testing.assert_array_equal(found[~black], x[~black])
    assert abs(black.reshape(200, -1).any(1).mean() - 0.5) < 0.18
    for one in black[black.reshape(200, -1).any(1)]:
        ends = [(places.min(), places.max() + 1) for places in np.nonzero(one)]
        assert one[tuple(slice(*end) for end in ends)].all(), "without holes"
        for (low, high), n, wanted in zip(ends, spatial, size, strict=True):
            assert high - low == wanted or (high - low < wanted and (low == 0 or high == n))


def test_the_middle_of_a_window_is_anywhere():
    found = np.asarray(window(jax.random.uniform(jax.random.key(0), (3000, 2)), (5, 6), jnp.ones((1, 2), jnp.int32)))
    assert (found.sum((1, 2)) == 1).all()
    assert np.abs(found.sum(0) - 100).max() < 50  # 5 standard deviations of 3000 draws of 1/30
