"""What a range test makes of losses whose course is known."""

import numpy as np
import pytest

from cnnlab.optim.range_test import SMOOTHING, exponential_mean, growing, is_hopeless, judged


def test_rates_grow_by_the_same_factor_to_the_last():
    rates = np.array([float(growing(1e-6, 10.0, 50)(i)) for i in range(50)])
    np.testing.assert_allclose(rates, np.geomspace(1e-6, 10, 50), rtol=1e-4)


def test_the_mean_of_the_past_against_a_loop():
    values, total, weight = [3.0, 1.0, 4.0, 1.0, 5.0], 0.0, 0.0
    for value, found in zip(values, exponential_mean(values), strict=True):
        total, weight = SMOOTHING * total + value, SMOOTHING * weight + 1
        assert found == pytest.approx(total / weight)


def test_a_loss_is_hopeless_when_it_is_not_finite_or_four_times_its_least():
    assert not is_hopeless([2.0])
    assert not is_hopeless([2.0, 1.0, 3.0])
    assert is_hopeless([2.0, float("nan")])
    assert is_hopeless([2.0, 1.0, float("inf")])
    assert is_hopeless([2.0] + [1.0] * 20 + [50.0])
    assert not is_hopeless([-1.0, -2.0, -1.0]), "of losses below 0 no multiple says anything"


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("place", [1e-4, 1e-3, 1e-2])
def test_the_suggestion_is_where_the_loss_falls_fastest(place, noise):
    """A fall of the form of a logistic curve about a rate, then a rise to an enormous loss."""
    rates = np.geomspace(1e-6, 1, 100)
    losses = 2.3 - 2 / (1 + (place / rates) ** 2) + noise * np.random.default_rng(0).standard_normal(100)
    losses[-3:] = 50, 1e6, np.inf
    found = judged(rates, losses)
    assert found.suggestion == pytest.approx(place, rel=0.35)
    assert len(found.losses) == len(found.rates) == len(found.smoothed) == 99, "what is not finite is left out"
    assert found.rates[found.least] > place


def test_a_loss_that_only_rises_suggests_nothing():
    assert judged(np.geomspace(1e-6, 1, 40), np.linspace(1, 3, 40)).suggestion is None
    assert judged([1e-3, 1e-2], [2.0, 1.0]).suggestion is None
