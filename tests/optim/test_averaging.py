"""Averages of weights against sums written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.optim.averaging import begun, followed, means
from cnnlab.spec.train import Average

ITERATES = np.random.default_rng(0).standard_normal((9, 2, 3))
OTHERS = np.random.default_rng(1).standard_normal((9, 4))


def averaged(spec: Average, counting: list[bool]):
    """Mean weights and statistics after each iterate, of which some count."""
    state = begun({"w": ITERATES[0].astype(np.float32)}, {"mean": OTHERS[0].astype(np.float32)})
    follow, mean, found = jax.jit(lambda *a: followed(spec, *a)), jax.jit(lambda *a: means(spec, *a)), []
    for w, other, counts in zip(ITERATES, OTHERS, counting, strict=True):
        now = {"w": jnp.float32(w)}, {"mean": jnp.float32(other)}
        state = follow(state, *now, jnp.array(counts))
        params, stats = mean(state, *now)
        found.append((np.asarray(params["w"]), np.asarray(stats["mean"])))
    return found


@pytest.mark.parametrize("decay", [None, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("first", [0, 3])
def test_every_mean_is_the_weighted_sum_over_its_weights(decay, first):
    """Weights decay ** age for the exponential one, 1 for Polyak's; before the first that counts, the iterate."""
    found = averaged(Average(decay=decay), [i >= first for i in range(9)])
    for values, place in ((ITERATES, 0), (OTHERS, 1)):
        for n, of_both in enumerate(found):
            ages = np.arange(n - first, -1, -1)
            weights = np.ones(len(ages)) if decay is None else decay**ages
            wanted = np.tensordot(weights / weights.sum(), values[first : n + 1], 1) if n >= first else values[n]
            np.testing.assert_allclose(of_both[place], wanted, rtol=2e-4, atol=1e-5)


def test_an_iterate_that_does_not_count_changes_nothing():
    some = averaged(Average(decay=0.9), [True, False, True] * 3)
    assert np.array_equal(some[1][0], some[0][0])
    assert not np.array_equal(some[2][0], some[0][0])
