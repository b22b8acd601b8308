"""Dropout: how much, of which parts, how scaled, and when."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.regularize import Dropout, SpatialDropout, StochasticDepth

KEY = jax.random.key(7)
ALL = [Dropout, SpatialDropout, StochasticDepth]
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


@pytest.mark.parametrize(
    ("layer", "whole"), [(SpatialDropout, (1, 2)), (StochasticDepth, (1, 2, 3))], ids=["channels", "examples"]
)
@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_what_is_dropped_is_dropped_as_a_whole_and_by_itself(layer, whole, rate):
    x = np.random.default_rng(1).uniform(1, 2, (40, 3, 5, 30)).astype(np.float32)
    y = np.asarray(layer(rate)(jnp.asarray(x), Mode(train=True, key=KEY)))
    dropped = (y == 0).all(whole)
    np.testing.assert_array_equal(dropped, (y == 0).any(whole))
    kept = np.broadcast_to(~dropped.reshape(*dropped.shape, *(1,) * len(whole)).swapaxes(1, -1), x.shape)
    np.testing.assert_allclose(y, np.where(kept, x / (1 - rate), 0), rtol=1e-6)
    assert dropped.mean() == pytest.approx(rate, abs=5 * np.sqrt(rate * (1 - rate) / dropped.size))
    if dropped.ndim == 2:  # no channel for all examples, no example in all channels
        for axis in (0, 1):
            deviation = np.sqrt(rate * (1 - rate) / dropped.shape[axis])
            assert np.abs(dropped.mean(axis) - rate).max() < 5 * deviation


@pytest.mark.parametrize("layer", ALL)
@pytest.mark.parametrize("rate", [0.1, 0.7])
def test_the_mean_over_many_draws_is_the_input(layer, rate):
    x = jnp.asarray([[[1.0, -2.0], [3.0, 4.0]]])
    draws = jax.vmap(lambda key: layer(rate)(x, Mode(train=True, key=key)))(jax.random.split(KEY, 4000))
    # A draw deviates by |x| sqrt(rate / (1 - rate)) around x.
    deviation = np.abs(x) * np.sqrt(rate / (1 - rate) / 4000)
    assert (np.abs(draws.mean(0) - x) < 5 * deviation).all()


@pytest.mark.parametrize("layer", [Dropout, SpatialDropout])
def test_of_a_vector_every_element_is_dropped_by_itself(layer):
    y = np.asarray(layer(0.5)(jnp.ones((50, 40)), Mode(train=True, key=KEY)))
    assert set(np.unique(y)) == {0, 2}
    assert (y == 0).mean(0).min() > 0
    assert (y == 0).mean(1).min() > 0
    assert (y == 0).mean(1).max() < 1


@pytest.mark.parametrize("layer", ALL)
def test_the_key_is_the_mask(layer):
    dropout = layer(0.5)
    once, again, other = (dropout(X, Mode(train=True, key=key)) for key in (KEY, KEY, jax.random.key(8)))
    np.testing.assert_array_equal(once, again)
    assert 0.3 < ((np.asarray(once) == 0) != (np.asarray(other) == 0)).mean() < 0.7


@pytest.mark.parametrize("layer", ALL)
@pytest.mark.parametrize("mode", [EVALUATION, Mode(train=False, key=KEY)])
def test_in_evaluation_nothing_happens(layer, mode):
    np.testing.assert_array_equal(layer(0.9)(X, mode), X)


@pytest.mark.parametrize("layer", ALL)
def test_a_rate_of_zero_needs_no_key(layer):
    np.testing.assert_array_equal(layer(0.0)(X, Mode(train=True)), X)


@pytest.mark.parametrize("layer", ALL)
def test_training_without_a_key_is_refused(layer):
    with pytest.raises(ValueError, match=r"^dropout in training needs Mode\(train=True, key=\.\.\.\)$"):
        layer(0.5)(X, Mode(train=True))
