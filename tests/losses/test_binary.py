"""Losses of yes or no against formulas in double precision, scikit-learn and Optax, and their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import hinge_loss, log_loss

from cnnlab.losses.binary import binary_cross_entropy, binary_focal, binary_hinge, binary_perceptron
from tests.losses.slopes import slopes

LOGITS = arrays(np.float32, (4, 3), elements=st.floats(-30, 30, width=32))
LABELS = arrays(np.int32, (4, 3), elements=st.integers(0, 1))
SCORES = np.random.default_rng(0).normal(0, 2, (5, 3)).astype(np.float32)
TRUE = np.random.default_rng(1).integers(0, 2, (5, 3))


def cross_entropy_by_formula(logits, labels, smoothing=0.0, weights=1.0):
    p, no = 1 / (1 + np.exp(-logits.astype(np.float64))), 1 / (1 + np.exp(logits.astype(np.float64)))
    y = labels * (1 - smoothing) + smoothing / 2
    return (-weights * y * np.log(p) - (1 - y) * np.log(no)).mean(1)


def focal_by_formula(logits, labels, gamma, alpha):
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    of_truth = np.where(labels == 1, p, 1 - p)
    factor = 1.0 if alpha is None else np.where(labels == 1, alpha, 1 - alpha)
    return (-factor * (1 - of_truth) ** gamma * np.log(of_truth)).mean(1)


@settings(max_examples=40, deadline=None)
@given(LOGITS, LABELS, st.sampled_from([0.0, 0.2]), st.sampled_from([None, (1.0, 3.0, 0.5)]))
def test_cross_entropy_is_its_formula_example_by_example(logits, labels, smoothing, weights):
    losses = binary_cross_entropy(
        jnp.asarray(logits),
        jnp.asarray(labels),
        label_smoothing=smoothing,
        positive_weights=None if weights is None else jnp.array(weights),
    )
    assert losses.shape == (4,)
    expected = cross_entropy_by_formula(logits, labels, smoothing, 1.0 if weights is None else np.array(weights))
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-6)


def test_its_mean_is_scikit_learns_log_loss_name_by_name():
    p = jax.nn.sigmoid(jnp.asarray(SCORES))
    each = [log_loss(TRUE[:, k], np.asarray(p[:, k], np.float64), labels=[0, 1]) for k in range(3)]
    losses = binary_cross_entropy(jnp.asarray(SCORES), jnp.asarray(TRUE))
    np.testing.assert_allclose(losses.mean(), np.mean(each), rtol=1e-5)


def test_its_gradient_is_the_probability_less_the_label_over_the_names():
    gradient = jax.grad(lambda x: binary_cross_entropy(x, jnp.asarray(TRUE)).sum())(jnp.asarray(SCORES))
    np.testing.assert_allclose(gradient, (1 / (1 + np.exp(-SCORES)) - TRUE) / 3, atol=1e-6)


def test_one_unit_may_stand_for_two_classes():
    losses = binary_cross_entropy(jnp.array([0.0, 2.0]), jnp.array([1, 0]))
    np.testing.assert_allclose(losses, [np.log(2), np.log1p(np.exp(2))], rtol=1e-6)


@pytest.mark.parametrize("loss", [binary_cross_entropy, binary_focal, binary_hinge, binary_perceptron])
def test_extreme_logits_stay_finite(loss):
    logits = jnp.array([[1e4, -1e4, 1e30, -1e30], [-1e4, 1e4, -1e30, 1e30]])
    labels = jnp.array([[1, 0, 1, 0], [1, 0, 1, 0]])
    losses, gradient = loss(logits, labels), jax.grad(lambda x: loss(x, labels).sum())(logits)
    assert losses[0] == 0
    assert losses[1] > 1e29
    assert np.isfinite(losses).all()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_the_focal_loss_is_its_formula_and_so_is_its_slope(gamma, alpha):
    logits, labels = jnp.asarray(SCORES), jnp.asarray(TRUE)
    losses = binary_focal(logits, labels, gamma=gamma, alpha=alpha)
    np.testing.assert_allclose(losses, focal_by_formula(SCORES, TRUE, gamma, alpha), rtol=1e-5)
    from_optax = optax.losses.sigmoid_focal_loss(logits, labels, alpha=alpha, gamma=gamma).mean(1)
    np.testing.assert_allclose(losses, from_optax, rtol=1e-4)
    gradient = jax.grad(lambda x: binary_focal(x, labels, gamma=gamma, alpha=alpha).sum())(logits)
    expected = slopes(lambda x: focal_by_formula(x, TRUE, gamma, alpha), SCORES)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_the_hinge_is_scikit_learns():
    losses = binary_hinge(jnp.asarray(SCORES[:, 0]), jnp.asarray(TRUE[:, 0]))
    np.testing.assert_allclose(losses.mean(), hinge_loss(TRUE[:, 0], SCORES[:, 0], labels=[0, 1]), rtol=1e-6)


def test_the_perceptron_has_a_slope_at_0_and_none_where_it_is_right():
    scores, labels = jnp.array([0.0, 0.0, 2.0, -2.0]), jnp.array([1, 0, 1, 1])
    np.testing.assert_array_equal(binary_perceptron(scores, labels), [0, 0, 0, 2])
    gradient = jax.grad(lambda x: binary_perceptron(x, labels).sum())(scores)
    np.testing.assert_array_equal(gradient, [-1, 1, 0, -1])
