"""Folds: each example validates once, classes alike, groups and identical examples whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.data.dataset import Dataset, Target
from cnnlab.data.split import split
from cnnlab.errors import DataError, SpecError
from cnnlab.spec.split import Split


def dataset(y, x=None, groups=None, **more) -> Dataset:
    y = np.asarray(y, np.int32)
    x = np.arange(len(y)) if x is None else np.asarray(x)
    names = None if groups is None else tuple(map(str, groups))
    return Dataset(x.astype(np.float32)[:, None], y, tuple(map(str, range(y.max() + 1))), groups=names, **more)


def all_folds(data, folds, seed, **more):
    return [split(data, Split(folds=folds, fold=fold, **more), seed) for fold in range(1, folds + 1)]


def check_partition(made, count):
    """Each example validates in one fold and trains in the others, or is in the same test split of all."""
    test = made[0].get("test", np.empty(0, np.int64))
    for splits in made:
        np.testing.assert_array_equal(splits.get("test", np.empty(0, np.int64)), test)
        assert sorted(np.concatenate(list(splits.values()))) == list(range(count))
        assert all((np.diff(indices) > 0).all() for indices in splits.values())
    validated = np.concatenate([splits["validation"] for splits in made])
    assert sorted(np.concatenate([validated, test])) == list(range(count))


@settings(max_examples=80, deadline=None)
@given(
    counts=st.lists(st.integers(12, 40), min_size=1, max_size=6),
    folds=st.integers(2, 7),
    test=st.sampled_from([0.0, 0.15, 5]),
    seed=st.integers(0, 2**32 - 1),
)
def test_folds_partition_and_are_stratified_to_one_example(counts, folds, test, seed):
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    data = dataset(y)
    made = all_folds(data, folds, seed, test=test)
    check_partition(made, len(y))
    left = np.bincount(np.delete(y, made[0].get("test", [])), minlength=len(counts))
    for splits in made:
        of_class = np.bincount(y[splits["validation"]], minlength=len(counts))
        assert np.abs(of_class - left / folds).max() < 1
        assert abs(len(splits["validation"]) - left.sum() / folds) < 1
    again = split(data, Split(folds=folds, fold=folds, test=test), seed)
    assert {k: v.tolist() for k, v in again.items()} == {k: v.tolist() for k, v in made[-1].items()}


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=20, max_size=50),
    folds=st.integers(2, 5),
    grouped=st.booleans(),
    stratify=st.booleans(),
    seed=st.integers(0, 99),
)
def test_what_belongs_together_is_never_torn(sizes, folds, grouped, stratify, seed):
    random = np.random.default_rng(seed)
    sets = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    y = random.integers(0, 2, len(sets)) if grouped else sets % 2
    data = dataset(y, None if grouped else sets, sets if grouped else None)
    made = all_folds(data, folds, seed, test=0.2, stratify=stratify)
    check_partition(made, len(sets))
    for splits in made:
        assert sum(len(set(sets[indices].tolist())) for indices in splits.values()) == len(sizes)
        assert abs(len(splits["validation"]) - (len(sets) - len(splits["test"])) / folds) <= 2 * max(sizes) + 2


def test_another_seed_is_another_partition_and_the_specs_own_comes_first():
    data = dataset(np.arange(40) % 2)
    found = [split(data, Split(folds=4, fold=1, seed=own), seed)["validation"].tolist()
             for own, seed in ((None, 0), (None, 1), (0, 1))]  # fmt: skip
    assert found[0] != found[1]
    assert found[0] == found[2]


def test_labels_that_go_together_are_spread():
    random = np.random.default_rng(0)
    labels = (random.random((200, 4)) < [0.5, 0.3, 0.1, 0.05]).astype(np.uint8)
    target = {"labels": Target(labels, ("a", "b", "c", "d"))}
    data = Dataset(np.arange(200, dtype=np.float32)[:, None], np.zeros(200, np.int32), (), targets=target)
    for splits in all_folds(data, 5, 0):
        assert np.abs(labels[splits["validation"]].sum(0) - labels.sum(0) / 5).max() < 2
        assert len(splits["validation"]) == 40
    drawn = split(data, None, 0)
    for name, share in (("train", 0.7), ("validation", 0.15), ("test", 0.15)):
        assert np.abs(labels[drawn[name]].sum(0) - labels.sum(0) * share).max() < 2
        assert abs(len(drawn[name]) - 200 * share) < 2


def test_a_source_with_a_test_split_of_its_own():
    y = np.arange(30) % 2
    data = dataset(y, given={"train": np.arange(20), "test": np.arange(20, 30)})
    made = all_folds(data, 4, 0)
    check_partition(made, 30)
    assert made[0]["test"].tolist() == list(range(20, 30))
    with pytest.raises(SpecError, match=r"test is 0\.2, and the source has 10 test examples of its own"):
        split(data, Split(folds=4, fold=1, test=0.2), 0)
    validated = dataset(y, given={"train": np.arange(20), "validation": np.arange(20, 30)})
    with pytest.raises(SpecError, match=r"the source has 10 validation examples of its own, and folds take turns"):
        split(validated, Split(folds=4, fold=1), 0)


def test_what_cannot_be_folded():
    with pytest.raises(
        SpecError, match=r"5 folds, and none is chosen to validate; train with --fold 1 \(to 5\) or all"
    ):
        split(dataset([0, 1] * 10), Split(folds=5), 0)
    with pytest.raises(DataError, match=r"the class '2' has no training example, and example 20 is in validation"):
        split(dataset([0, 1] * 10 + [2]), Split(folds=4, fold=1), 0)  # whichever fold it validates in
    with pytest.raises(
        DataError, match=r"fold 3 of 7 is empty: there are 20 examples to divide; ask for fewer folds; id"
    ):
        split(dataset([0, 1] * 10, groups=np.arange(20) % 3), Split(folds=7, fold=1), 0)
