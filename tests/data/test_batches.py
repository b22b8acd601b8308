"""Batches: one shape, every example once an epoch, nothing remembered."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnlab.data.batches import (
    epoch_order,
    evaluation_batches,
    order,
    share,
    steps_per_epoch,
    training_batch,
    training_batches,
    weighted_order,
)
from cnnlab.data.dataset import Dataset
from cnnlab.data.imbalance import sampling_shares
from cnnlab.data.prepare import Prepared

X = np.arange(50, dtype=np.uint8)[:, None, None].repeat(2, 1)
DATA = Dataset(X, (np.arange(50) % 3).astype(np.int32), ("a", "b", "c"))


def prepared(train, test=()) -> Prepared:
    splits = {"train": np.array(train), "test": np.array(test, np.int64)}
    return Prepared(DATA, splits, np.zeros(1), np.ones(1))


@given(count=st.integers(1, 200), batch_size=st.integers(1, 70))
def test_steps(count, batch_size):
    assert steps_per_epoch(count, batch_size) == len(range(0, count, batch_size))


def test_order_is_a_function_of_seed_and_epoch():
    first = order(3, 5, 100)
    assert sorted(first) == list(range(100))
    np.testing.assert_array_equal(first, order(3, 5, 100))
    others = [order(3, 6, 100), order(4, 5, 100), order(5, 3, 100)]
    assert len({tuple(permutation) for permutation in [first, *others]}) == 4
    assert sorted(order(2**32 - 1, 10**6, 3)) == [0, 1, 2]


@given(count=st.integers(1, 50), batch_size=st.integers(1, 20), epoch=st.integers(0, 5))
def test_an_epoch_counts_every_example_once(count, batch_size, epoch):
    train = np.arange(50)[-count:]
    data, permutation = prepared(train), order(0, epoch, count)
    seen = []
    for i in range(steps_per_epoch(count, batch_size)):
        batch = training_batch(data, permutation, i, batch_size)
        assert batch.x.shape == (batch_size, 2, 1)
        assert (batch.x.dtype, batch.y.dtype, batch.mask.dtype) == (np.uint8, np.int32, np.bool_)
        np.testing.assert_array_equal(batch.x[:, 0, 0], batch.index)
        np.testing.assert_array_equal(batch.y, batch.index % 3)
        assert set(batch.index.tolist()) <= set(train.tolist())
        seen += batch.index[batch.mask].tolist()
    assert seen == train[permutation].tolist()


def test_last_batch_is_filled_with_the_first_of_the_order():
    batch = training_batch(prepared([10, 11, 12, 13, 14]), np.array([3, 1, 4, 0, 2]), 1, 4)
    assert batch.index.tolist() == [12, 13, 11, 14]
    assert batch.mask.tolist() == [True, False, False, False]


@pytest.mark.parametrize(("batch_size", "sizes"), [(2, [2, 2, 1]), (5, [5]), (12, [5])])
def test_evaluation_goes_in_order(batch_size, sizes):
    batches = list(evaluation_batches(prepared([0], [5, 7, 20, 21, 40]), "test", batch_size))
    assert [int(batch.mask.sum()) for batch in batches] == sizes
    assert all(len(batch.x) == len(batch.y) == batch_size for batch in batches)
    counted = [i for batch in batches for i in batch.index[batch.mask].tolist()]
    assert counted == [5, 7, 20, 21, 40]
    for batch in batches:
        np.testing.assert_array_equal(batch.x[:, 1, 0], batch.index)


@given(count=st.integers(1, 50), batch_size=st.integers(1, 20), first=st.integers(0, 4))
def test_batches_read_ahead_are_the_same(count, batch_size, first):
    data, permutation = prepared(np.arange(count)), order(0, 1, count)
    numbers = range(first, steps_per_epoch(count, batch_size))
    for i, coming in zip(numbers, training_batches(data, permutation, first, batch_size), strict=True):
        found = coming.result()
        assert coming.ready()
        for mine, others in zip(found, training_batch(data, permutation, i, batch_size), strict=True):
            np.testing.assert_array_equal(mine, others)


@given(part=st.integers(1, 8), processes=st.integers(1, 6), steps=st.integers(1, 4))
def test_processes_share_a_batch(part, processes, steps):
    rows = np.random.default_rng(0).integers(0, 1000, (steps, part * processes))
    shares = [share(rows, process, processes) for process in range(processes)]
    assert {found.shape for found in shares} == {(steps, part)}
    np.testing.assert_array_equal(np.concatenate(shares, -1), rows)
    np.testing.assert_array_equal(share(rows[0], processes - 1, processes), shares[-1][0])


def test_processes_that_do_not_divide_a_batch():
    with pytest.raises(ValueError, match="3 processes do not divide a batch of 64"):
        share(np.zeros(64), 0, 3)


COUNTS = st.lists(st.integers(1, 40), min_size=2, max_size=6)


@given(counts=COUNTS, seed=st.integers(0, 2**32 - 1), epoch=st.integers(0, 1000))
def test_balanced_sampling_draws_all_classes_alike(counts, seed, epoch):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    shares = sampling_shares("balanced", tuple(map(str, counts)), np.array(counts))
    drawn = weighted_order(seed, epoch, labels, shares)
    assert (drawn.shape, drawn.dtype) == (labels.shape, np.int64)  # as many steps as without
    assert np.abs(np.bincount(labels[drawn], minlength=len(counts)) - len(labels) / len(counts)).max() < 1
    times = np.bincount(drawn, minlength=len(labels))
    for label in range(len(counts)):  # a class goes round
        assert np.ptp(times[labels == label]) <= 1
    np.testing.assert_array_equal(drawn, weighted_order(seed, epoch, labels, shares))
    assert len(labels) < 20 or drawn.tolist() != weighted_order(seed, epoch + 1, labels, shares).tolist()


def test_sampling_has_no_bias():
    labels = np.repeat([0, 1, 2], [7, 4, 2])
    shares = sampling_shares({"1": 1.5, "2": 4.0}, ("0", "1", "2"), np.array([7, 4, 2]))
    times = np.zeros(13)
    for epoch in range(3000):
        times += np.bincount(weighted_order(5, epoch, labels, shares), minlength=13)
    expected = 13 * np.array([1.0, 1.5, 4.0])[labels] / (7 * 1 + 4 * 1.5 + 2 * 4)
    assert np.abs(times / 3000 - expected).max() < 5 * 0.5 / np.sqrt(3000)  # a count varies by less than 1/2


def test_a_class_without_training_examples_is_never_drawn():
    labels = np.array([0, 2, 2, 2])
    shares = sampling_shares("balanced", "abc", np.array([1, 0, 3]))
    assert np.bincount(labels[weighted_order(0, 0, labels, shares)]).tolist() == [2, 0, 2]


def test_the_epochs_order_is_of_the_training_split():
    data = prepared(np.arange(3, 40))
    np.testing.assert_array_equal(epoch_order(data, 3, 1), order(3, 1, 37))
    drawn = epoch_order(replace(data, sampling=np.array([0.0, 0.5, 0.5])), 3, 1)
    assert sorted(drawn.tolist()) != list(range(37))
    batch = training_batch(data, drawn, 0, 37)
    assert set(batch.y.tolist()) == {1, 2}
