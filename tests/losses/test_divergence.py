"""Divergences against SciPy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from cnnlab.losses.divergence import kullback_leibler, sparse_penalty
from tests.losses.slopes import slopes

RANDOM = np.random.default_rng(0)
STUDENT, TEACHER = RANDOM.normal(0, 3, (2, 4, 5)).astype(np.float32)


def by_scipy(student: np.ndarray, teacher: np.ndarray, temperature: float) -> np.ndarray:
    p, q = (scipy.special.softmax(x.astype(np.float64) / temperature, axis=-1) for x in (teacher, student))
    return temperature**2 * scipy.stats.entropy(p, q, axis=-1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_divergence_is_scipys_and_its_slope_is_that_of_the_student_alone(temperature):
    student, teacher = jnp.asarray(STUDENT), jnp.asarray(TEACHER)
    losses = kullback_leibler(student, teacher, temperature=temperature)
    assert losses.shape == (4,)
    np.testing.assert_allclose(losses, by_scipy(STUDENT, TEACHER, temperature), rtol=1e-5, atol=1e-6)
    ours, none = jax.grad(lambda x, y: kullback_leibler(x, y, temperature=temperature).sum(), (0, 1))(student, teacher)
    expected = slopes(lambda x: by_scipy(x, TEACHER, temperature), STUDENT)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(none, np.zeros_like(TEACHER))


def test_maps_have_the_mean_over_their_positions_and_agreement_costs_nothing():
    student, teacher = RANDOM.normal(size=(2, 3, 4, 6, 5)).astype(np.float32)
    expected = by_scipy(student, teacher, 1.0).mean((1, 2))
    np.testing.assert_allclose(kullback_leibler(jnp.asarray(student), jnp.asarray(teacher)), expected, rtol=1e-5)
    np.testing.assert_allclose(kullback_leibler(jnp.asarray(student), jnp.asarray(student) + 3), [0] * 3, atol=1e-6)


@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_extreme_logits_stay_finite(scale):
    student, teacher = jnp.asarray(STUDENT) * scale, jnp.asarray(TEACHER[::-1].copy()) * scale
    assert np.isfinite(kullback_leibler(student, teacher)).all()
    assert np.isfinite(jax.grad(lambda x: kullback_leibler(x, teacher).sum())(student)).all()


def penalty_by_scipy(activations: np.ndarray, rho: float) -> np.ndarray:
    means = activations.astype(np.float64).reshape(-1, activations.shape[-1]).mean(0)
    return np.array(sum(scipy.stats.entropy([rho, 1 - rho], [mean, 1 - mean]) for mean in means))


@pytest.mark.parametrize("shape", [(8, 3), (4, 5, 5, 3)])
def test_the_penalty_is_the_divergence_of_mean_activations(shape):
    activations = RANDOM.uniform(0.01, 0.9, shape).astype(np.float32)
    found = sparse_penalty(jnp.asarray(activations), rho=0.05)
    np.testing.assert_allclose(found, penalty_by_scipy(activations, 0.05), rtol=1e-5)
    gradient = jax.grad(lambda x: sparse_penalty(x, rho=0.05))(jnp.asarray(activations))
    expected = slopes(lambda x: penalty_by_scipy(x, 0.05), activations)
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-5)
    assert sparse_penalty(jnp.full(shape, 0.05), rho=0.05) == pytest.approx(0, abs=1e-6)


def test_padding_does_not_count():
    activations = jnp.asarray(RANDOM.uniform(0.1, 0.9, (6, 3)), jnp.float32)
    mask = jnp.array([True, True, False, True, False, True])
    found = sparse_penalty(activations.at[2].set(jnp.nan), rho=0.1, mask=mask)
    np.testing.assert_allclose(found, penalty_by_scipy(np.asarray(activations)[np.asarray(mask)], 0.1), rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 7.0])
def test_units_that_are_always_off_or_on_stay_finite(value):
    activations = jnp.full((4, 2), value)
    assert np.isfinite(sparse_penalty(activations, rho=0.05))
    assert sparse_penalty(activations, rho=0.05) > 1
    assert np.isfinite(jax.grad(lambda x: sparse_penalty(x, rho=0.05))(activations)).all()
