"""Dropout: how much, how scaled, and when."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.regularize import Dropout

KEY = jax.random.key(7)
X = jnp.asarray(np.random.default_rng(0).uniform(1, 2, (100, 10, 20)), jnp.float32)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_in_training_a_share_of_rate_is_zero_and_the_rest_scaled(rate):
    y = np.asarray(Dropout(rate)(X, Mode(train=True, key=KEY)))
    dropped = y == 0
    deviation = np.sqrt(rate * (1 - rate) / X.size)
    assert dropped.mean() == pytest.approx(rate, abs=5 * deviation)
    np.testing.assert_allclose(y[~dropped], np.asarray(X)[~dropped] / (1 - rate), rtol=1e-6)


def test_every_element_is_dropped_by_itself():
    dropped = np.asarray(Dropout(0.5)(X, Mode(train=True, key=KEY))) == 0
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        shares = dropped.mean(others)
        deviation = np.sqrt(0.25 * X.shape[axis] / X.size)
        assert np.abs(shares - 0.5).max() < 6 * deviation


def test_the_key_is_the_mask():
    dropout = Dropout(0.5)
    once, again, other = (dropout(X, Mode(train=True, key=key)) for key in (KEY, KEY, jax.random.key(8)))
    np.testing.assert_array_equal(once, again)
    assert 0.4 < ((np.asarray(once) == 0) != (np.asarray(other) == 0)).mean() < 0.6


@pytest.mark.parametrize("mode", [EVALUATION, Mode(train=False, key=KEY)])
def test_in_evaluation_nothing_happens(mode):
    np.testing.assert_array_equal(Dropout(0.9)(X, mode), X)


def test_a_rate_of_zero_needs_no_key():
    np.testing.assert_array_equal(Dropout(0.0)(X, Mode(train=True)), X)


def test_training_without_a_key_is_refused():
    with pytest.raises(ValueError, match=r"^dropout in training needs Mode\(train=True, key=\.\.\.\)$"):
        Dropout(0.5)(X, Mode(train=True))
