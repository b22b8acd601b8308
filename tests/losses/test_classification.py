"""Losses against SciPy in double precision, their gradients against the closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cnnlab.losses import cross_entropy

CLASSES = 5
LOGITS = arrays(np.float32, (4, CLASSES), elements=st.floats(-50, 50, width=32))
LABELS = arrays(np.int32, (4,), elements=st.integers(0, CLASSES - 1))
SMOOTHING = st.sampled_from([0.0, 0.1, 0.6])


def targets(labels: np.ndarray, smoothing: float, classes: int = CLASSES) -> np.ndarray:
    q = np.full((len(labels), classes), smoothing / classes)
    for i, label in enumerate(labels):
        q[i, label] += 1 - smoothing
    return q


@settings(max_examples=40, deadline=None)
@given(LOGITS, LABELS, SMOOTHING)
def test_cross_entropy_is_minus_the_expected_log_probability_example_by_example(logits, labels, smoothing):
    losses = cross_entropy(jnp.asarray(logits), jnp.asarray(labels), label_smoothing=smoothing)
    log_p = scipy.special.log_softmax(logits.astype(np.float64), axis=1)
    assert losses.shape == (4,)
    np.testing.assert_allclose(losses, -(targets(labels, smoothing) * log_p).sum(1), rtol=1e-5, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(LOGITS, LABELS, SMOOTHING)
def test_its_gradient_is_softmax_minus_the_targets(logits, labels, smoothing):
    gradient = jax.grad(lambda x: cross_entropy(x, jnp.asarray(labels), label_smoothing=smoothing).sum())
    expected = scipy.special.softmax(logits.astype(np.float64), axis=1) - targets(labels, smoothing)
    np.testing.assert_allclose(gradient(jnp.asarray(logits)), expected, atol=1e-5)


@pytest.mark.parametrize("scale", [1e2, 1e4, 1e30])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_extreme_logits_stay_finite(scale, smoothing):
    logits = np.float32([[1, -1, 0.5], [-1, -1, -1], [0, 1, 0.999]]) * np.float32(scale)
    labels = np.array([1, 2, 1])
    losses = cross_entropy(jnp.asarray(logits), jnp.asarray(labels), label_smoothing=smoothing)
    log_p = scipy.special.log_softmax(logits.astype(np.float64), axis=1)
    np.testing.assert_allclose(losses, -(targets(labels, smoothing, 3) * log_p).sum(1), rtol=1e-5, atol=1e-5)
    gradient = jax.grad(lambda x: cross_entropy(x, jnp.asarray(labels), label_smoothing=smoothing).sum())
    assert np.isfinite(gradient(jnp.asarray(logits))).all()


def test_guessing_costs_the_log_of_the_classes_and_certainty_nothing():
    np.testing.assert_allclose(cross_entropy(jnp.zeros((1, 10)), jnp.array([3])), np.log(10), rtol=1e-6)
    np.testing.assert_allclose(cross_entropy(jnp.array([[0.0, 200.0]]), jnp.array([1])), [0])
