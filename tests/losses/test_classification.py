"""Losses of one label out of several against SciPy and plain loops in double precision, and their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cnnlab.losses.classification import cross_entropy, focal, hinge, perceptron
from tests.losses.slopes import slopes

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


WEIGHTS = np.array([0.5, 2.0, 1.0, 0.0, 3.0], np.float32)
SCORES = np.random.default_rng(0).normal(0, 2, (6, CLASSES)).astype(np.float32)
TRUE = np.array([0, 1, 2, 3, 4, 1], np.int32)


def hinge_by_loop(scores: np.ndarray, labels: np.ndarray, least: float) -> np.ndarray:
    """max(0, least + the best other score - the label's)."""
    losses = []
    for row, label in zip(scores, labels, strict=True):
        best_other = max(score for k, score in enumerate(row) if k != label)
        losses.append(max(0.0, least + best_other - row[label]))
    return np.array(losses)


def focal_by_formula(logits: np.ndarray, labels: np.ndarray, gamma: float) -> np.ndarray:
    p = scipy.special.softmax(logits.astype(np.float64), axis=1)[np.arange(len(labels)), labels]
    return -((1 - p) ** gamma) * np.log(p)


@pytest.mark.parametrize("loss", [cross_entropy, focal, hinge])
def test_class_weights_are_factors_by_the_examples_own_class(loss):
    plain = loss(jnp.asarray(SCORES), jnp.asarray(TRUE))
    weighted = loss(jnp.asarray(SCORES), jnp.asarray(TRUE), class_weights=jnp.asarray(WEIGHTS))
    assert (plain > 0).any()
    np.testing.assert_allclose(weighted, plain * WEIGHTS[TRUE], rtol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_the_focal_loss_is_its_formula_and_so_is_its_slope(gamma):
    losses, labels = focal(jnp.asarray(SCORES), jnp.asarray(TRUE), gamma=gamma), jnp.asarray(TRUE)
    np.testing.assert_allclose(losses, focal_by_formula(SCORES, TRUE, gamma), rtol=1e-5, atol=1e-6)
    gradient = jax.grad(lambda x: focal(x, labels, gamma=gamma).sum())(jnp.asarray(SCORES))
    np.testing.assert_allclose(
        gradient, slopes(lambda x: focal_by_formula(x, TRUE, gamma), SCORES), rtol=1e-4, atol=1e-5
    )


def test_the_focal_loss_without_focus_is_cross_entropy():
    logits, labels = jnp.asarray(SCORES), jnp.asarray(TRUE)
    np.testing.assert_allclose(focal(logits, labels, gamma=0.0), cross_entropy(logits, labels), rtol=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_focal_loss_has_a_slope_where_the_probability_rounds_to_1(gamma):
    logits, labels = jnp.array([[90.0, 0.0], [0.0, 90.0]]), jnp.array([0, 0])
    gradient = jax.grad(lambda x: focal(x, labels, gamma=gamma).sum())(logits)
    np.testing.assert_allclose(focal(logits, labels, gamma=gamma), [0, 90], atol=1e-6)
    np.testing.assert_allclose(gradient, [[0, 0], [-1, 1]], atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(LOGITS, LABELS)
def test_hinge_and_perceptron_are_the_loops_and_optax_ones(scores, labels):
    given_scores, given_labels = jnp.asarray(scores), jnp.asarray(labels)
    found = hinge(given_scores, given_labels), perceptron(given_scores, given_labels)
    for losses, least in zip(found, (1.0, 0.0), strict=True):
        assert losses.shape == (4,)
        np.testing.assert_allclose(losses, hinge_by_loop(scores, labels, least), rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(found[0], optax.losses.multiclass_hinge_loss(given_scores, given_labels), atol=1e-5)
    np.testing.assert_allclose(found[1], optax.losses.multiclass_perceptron_loss(given_scores, given_labels), atol=1e-5)


def test_the_perceptron_moves_one_pair_of_classes_by_one_and_counts_a_tie_as_an_error():
    gradient = jax.grad(lambda x: perceptron(x, jnp.array([1, 1, 0])).sum())
    scores = jnp.array([[0.0, 0.0, 0.0], [3.0, 1.0, 3.0], [2.0, 1.0, 1.0]])
    np.testing.assert_array_equal(gradient(scores), [[1, -1, 0], [1, -1, 0], [0, 0, 0]])


def test_steps_down_the_perceptron_loss_are_the_perceptrons_own():
    random = np.random.default_rng(1)
    x, labels = random.normal(size=(40, 3)).astype(np.float32), random.integers(0, 4, 40)
    by_gradient, by_rule = jnp.zeros((3, 4)), np.zeros((3, 4), np.float32)
    step = jax.jit(jax.grad(lambda w, x, label: perceptron((x @ w)[None], label[None])[0]))
    for example, label in zip(x, labels, strict=True):
        by_gradient = by_gradient - step(by_gradient, jnp.asarray(example), jnp.asarray(label))
        scores = example @ by_rule
        rival = max((k for k in range(4) if k != label), key=lambda k: (scores[k], -k))
        if scores[rival] >= scores[label]:
            by_rule[:, label] += example
            by_rule[:, rival] -= example
    assert np.abs(by_rule).sum() > 0
    np.testing.assert_allclose(by_gradient, by_rule, atol=1e-5)
