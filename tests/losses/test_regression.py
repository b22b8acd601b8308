"""Losses of numbers against scikit-learn, Optax and a loop."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn import metrics as oracle

from cnnlab.losses.regression import huber, mean_absolute, mean_squared

RANDOM = np.random.default_rng(0)
PREDICTED, TARGET = RANDOM.normal(0, 2, (2, 7, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [(mean_squared, oracle.mean_squared_error), (mean_absolute, oracle.mean_absolute_error)],
)
def test_each_example_is_scikit_learns_figure_of_it(loss, expected):
    losses = loss(jnp.asarray(PREDICTED), jnp.asarray(TARGET))
    assert losses.shape == (7,)
    np.testing.assert_allclose(losses, [expected(*pair) for pair in zip(TARGET, PREDICTED, strict=True)], rtol=1e-6)


@pytest.mark.parametrize("delta", [0.1, 1.0, 5.0])
def test_huber_is_a_parabola_inside_and_a_line_outside(delta):
    def of(error: float) -> float:
        return error**2 / 2 if abs(error) <= delta else delta * (abs(error) - delta / 2)

    losses = huber(jnp.asarray(PREDICTED), jnp.asarray(TARGET), delta=delta)
    errors = PREDICTED.astype(np.float64) - TARGET
    np.testing.assert_allclose(losses, np.vectorize(of)(errors).mean(1), rtol=1e-5)
    np.testing.assert_allclose(losses, optax.losses.huber_loss(PREDICTED, TARGET, delta=delta).mean(1), rtol=1e-5)
    gradient = jax.grad(lambda x: huber(x, jnp.asarray(TARGET), delta=delta).sum())(jnp.asarray(PREDICTED))
    np.testing.assert_allclose(gradient, np.clip(errors, -delta, delta) / 4, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", [mean_squared, mean_absolute, huber])
def test_images_and_single_numbers_are_taken_too_and_a_hit_costs_nothing(loss):
    images = jnp.asarray(RANDOM.normal(size=(3, 5, 6, 2)), jnp.float32)
    flat = images.reshape(3, -1)
    np.testing.assert_allclose(loss(images, 0 * images), loss(flat, 0 * flat), rtol=1e-6)
    np.testing.assert_array_equal(loss(images, images), [0, 0, 0])
    np.testing.assert_array_equal(jax.grad(lambda x: loss(x, images).sum())(images), 0 * images)
    assert loss(jnp.array([1.0, 2.0]), jnp.array([1.0, 1.0])).shape == (2,)
