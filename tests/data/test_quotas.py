"""Whole numbers near to shares: within one of each, of classes and of totals, however many splits there are."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from cnnlab.data.quotas import fold_quotas, quotas

COUNTS = st.lists(st.integers(1, 60), min_size=1, max_size=9)


@given(counts=COUNTS, parts=st.lists(st.integers(1, 30), min_size=2, max_size=6))
def test_within_one_of_every_share_and_of_every_total(counts, parts):
    shares = np.array(parts) / sum(parts)
    assume(all(count * shares[0] >= 1 for count in counts))
    found = quotas(np.array(counts), shares)
    assert found.sum(1).tolist() == counts
    assert np.abs(found - np.multiply.outer(counts, shares)).max() < 1 + 1e-9
    assert np.abs(found.sum(0) - sum(counts) * shares).max() < 1


@given(counts=COUNTS, data=st.data())
def test_whole_totals_are_met(counts, data):
    total, classes = sum(counts), len(counts)
    assume(total > classes + 1)
    train = data.draw(st.integers(classes, total - 1))
    test = data.draw(st.integers(1, total - train))
    numbers = np.array([train, test, total - train - test])
    found = quotas(np.array(counts), numbers / total, totals_first=True)
    assert found.sum(1).tolist() == counts
    assert found.sum(0).tolist() == numbers.tolist()
    assert (found[:, 0] >= 1).all()
    assert (found >= 0).all()
    if all(count * train >= total for count in counts):  # no class needs more than its share for a training example
        assert np.abs(found - np.multiply.outer(counts, numbers / total)).max() < 1 + 1e-9
        assert found.tolist() == quotas(np.array(counts), numbers / total).tolist()


@given(counts=COUNTS, folds=st.integers(2, 12))
def test_folds_are_of_one_size_but_for_one(counts, folds):
    found = fold_quotas(np.array(counts), folds)
    assert found.sum(1).tolist() == counts
    assert (np.ptp(found, 1) <= 1).all()
    assert np.ptp(found.sum(0)) <= 1


def test_folds_by_hand():
    assert fold_quotas(np.array([4, 3, 1]), 3).tolist() == [[2, 1, 1], [1, 1, 1], [0, 1, 0]]
