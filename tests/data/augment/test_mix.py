"""Mixup and cutmix: who is mixed with whom, how much, and that the weight is the share of what is seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from cnnlab.data.augment import example_keys, mix
from cnnlab.spec.augment import Augmentation


def entries(*given: dict) -> tuple[Augmentation, ...]:
    return tuple(Augmentation.model_validate(entry) for entry in given)


def keys(count: int, epoch: int = 0):
    return example_keys(0, epoch, jnp.arange(count))


mixed = jax.jit(mix, static_argnums=2)


def identities(count: int, *spatial: int) -> np.ndarray:
    """Each example holds its own number everywhere."""
    return np.broadcast_to(np.arange(count, dtype=np.float32).reshape(-1, *[1] * (len(spatial) + 1)),
                           (count, *spatial, 1))  # fmt: skip


def test_without_entries_nothing_is_mixed():
    x = identities(5, 3)
    found = mix(jnp.asarray(x), keys(5), entries({"noise": 0.1}))
    np.testing.assert_array_equal(found.x, x)
    np.testing.assert_array_equal(found.partner, np.arange(5))
    np.testing.assert_array_equal(found.weight, np.ones(5))


def test_mixup_is_the_sum_of_two_by_their_weights():
    x = np.random.default_rng(0).random((41, 20, 1), np.float32)
    found = mixed(x, keys(41), entries({"mixup": 1}))
    weight = np.asarray(found.weight)[:, None, None]
    np.testing.assert_allclose(found.x, weight * x + (1 - weight) * x[found.partner], atol=1e-6)


def test_partners_are_others_and_each_is_one_once():
    found = mixed(identities(41, 20), keys(41), entries({"mixup": 1}))
    assert sorted(found.partner.tolist()) == list(range(41))
    assert (np.asarray(found.partner) != np.arange(41)).all()
    again = mixed(identities(41, 20), keys(41, epoch=1), entries({"mixup": 1}))
    assert (np.asarray(again.partner) != np.asarray(found.partner)).mean() > 0.8


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_weights_are_of_the_beta_distribution(alpha):
    weight = np.asarray(mixed(identities(3000, 1), keys(3000), entries({"mixup": alpha})).weight, np.float64)
    assert np.isfinite(weight).all()
    assert stats.kstest(weight, stats.beta(alpha, alpha).cdf).pvalue > 1e-3


@pytest.mark.parametrize("spatial", [(12, 17), (5, 6, 7)])
def test_the_weight_of_cutmix_is_the_share_that_is_ones_own(spatial):
    x = identities(60, *spatial)
    found = mixed(x, keys(60), entries({"cutmix": 1}))
    own = np.asarray(found.x) == x
    np.testing.assert_allclose(own.reshape(60, -1).mean(1), found.weight, atol=1e-6)
    other = np.asarray(found.x) == x[found.partner]
    assert (own ^ other).all()
    for one in other[..., 0]:
        ends = [slice(places.min(), places.max() + 1) for places in np.nonzero(one)] if one.any() else []
        assert not ends or one[tuple(ends)].all()
    assert 0.5 < np.asarray(found.weight).mean() < 0.9, "half, and more where windows reach beyond the border"


def test_of_two_each_example_draws_one_and_some_stay():
    given = entries({"mixup": {"alpha": 1, "probability": 0.5}}, {"cutmix": 1})
    x = identities(400, 20)
    found = mixed(x, keys(400), given)
    values = np.asarray(found.x)[..., 0]
    one_value = (values == values[:, :1]).all(1)
    itself = (values == x[..., 0]).all(1)
    assert abs((one_value & ~itself).mean() - 0.25) < 0.1  # mixup; cutmix has two values, or now and then one
    assert 0.2 < itself.mean() < 0.45


def test_the_order_of_a_batch_does_not_matter():
    x = np.random.default_rng(0).random((400, 20, 1), np.float32)
    given = entries({"mixup": {"alpha": 1, "probability": 0.5}}, {"cutmix": 1})
    turned = np.random.default_rng(1).permutation(400)
    found, other = mixed(x, keys(400), given), mixed(x[turned], keys(400)[turned], given)
    np.testing.assert_array_equal(np.asarray(found.x)[turned], other.x)
    np.testing.assert_array_equal(np.asarray(found.weight)[turned], other.weight)
    np.testing.assert_array_equal(np.asarray(found.partner)[turned], turned[other.partner])
