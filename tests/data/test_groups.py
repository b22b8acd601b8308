"""Splits by group: no group on both sides, classes and shares as nearly as whole groups allow."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.data.dataset import Dataset
from cnnlab.data.groups import deal, grouped, together
from cnnlab.data.split import split
from cnnlab.errors import DataError, SpecError
from cnnlab.spec.split import Split


def dataset(y, groups, x=None) -> Dataset:
    y = np.asarray(y, np.int32)
    x = np.arange(len(y)) if x is None else np.asarray(x)
    classes = tuple(map(str, range(y.max() + 1)))
    return Dataset(x.astype(np.float32)[:, None], y, classes, groups=tuple(map(str, groups)))


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 8), min_size=12, max_size=60),
    classes=st.integers(1, 4),
    shares=st.sampled_from([(0.7, 0.15, 0.15), (0.5, 0.25, 0.25), (0.8, 0.2, 0)]),
    seed=st.integers(0, 99),
)
def test_a_group_is_never_on_both_sides(sizes, classes, shares, seed):
    random = np.random.default_rng(seed)
    groups = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    data = dataset(random.integers(0, classes, len(groups)), groups)
    spec = Split(train=shares[0], validation=shares[1], test=shares[2])
    splits = split(data, spec, seed)
    assert sorted(np.concatenate(list(splits.values()))) == list(range(len(groups)))
    assert sum(len(set(groups[indices])) for indices in splits.values()) == len(sizes)
    for name, share in zip(("train", "validation", "test"), shares, strict=True):
        if share:
            assert abs(len(splits[name]) - share * len(groups)) <= max(sizes) + classes
    again = split(data, spec, seed)
    assert {name: part.tolist() for name, part in again.items()} == {n: p.tolist() for n, p in splits.items()}


def test_classes_are_spread_though_groups_are_of_one_class():
    y = np.repeat(np.arange(100) % 4, 5)
    splits = split(dataset(y, np.repeat(np.arange(100), 5)), None, 0)
    for name, share in (("train", 0.7), ("validation", 0.15), ("test", 0.15)):
        assert np.abs(np.bincount(y[splits[name]]) - 125 * share).max() <= 5


def test_identical_examples_tie_their_groups():
    x = np.arange(8)
    x[4] = x[0]  # the groups a and c share an image
    sets = together(tuple("aabbccdd"), dataset(x % 2, "aabbccdd", x).digests, np.arange(8))
    assert sets == [[0, 1, 4, 5], [2, 3], [6, 7]]
    assert together(tuple("aabb"), tuple(bytes([i]) for i in range(4)), np.array([1, 3])) == [[1], [3]]


def test_another_seed_is_another_split():
    data = dataset(np.arange(80) % 2, np.arange(80) // 2)
    assert split(data, None, 0)["test"].tolist() != split(data, None, 1)["test"].tolist()


def test_few_groups_leave_no_split_empty():
    splits = split(dataset(np.arange(30) % 2, np.arange(30) // 10), None, 0)
    assert {name: len(indices) for name, indices in splits.items()} == {"train": 10, "validation": 10, "test": 10}
    with pytest.raises(DataError, match=r"the test split is empty: 0\.15 of 20 examples"):
        split(dataset(np.arange(20) % 2, np.arange(20) // 10), None, 0)


def test_rare_classes_are_trained():
    y = np.array([0] * 40 + [1] * 3)
    for seed in range(10):
        splits = split(dataset(y, [*(i // 4 for i in range(40)), 90, 90, 91]), None, seed)
        assert 42 in splits["train"]


def test_a_set_goes_where_its_classes_lack():
    counts = np.array([[3, 0], [0, 3], [3, 3]])
    chosen = deal(counts, np.array([[3, 3], [3, 3]]), np.random.default_rng(0))
    assert sorted(np.stack([counts[chosen == part].sum(0) for part in (0, 1)]).tolist()) == [[3, 3], [3, 3]]


def test_groups_by_the_names_of_files():
    files = tuple(f"p{i % 2}/p{i // 5:02d}_{i}.png" for i in range(60))
    data = replace(dataset(np.arange(60) % 2, range(60)), files=files, groups=None)
    assert grouped(data, r"^(p\d+)_").groups == tuple(f"p{i // 5:02d}" for i in range(60))
    for spec in (Split(group=r"^(p\d+)_"), Split(folds=3, fold=2, group=r"^(p\d+)_")):
        splits = split(data, spec, 0)
        assert sum(len(set((indices // 5).tolist())) for indices in splits.values()) == 12


def test_groups_that_names_do_not_tell():
    data = dataset(np.arange(4) % 2, range(4))
    message = r"data\.split\.group: the examples are not files, and a group is told by a file's name; leave it out"
    with pytest.raises(SpecError, match=message):
        split(data, Split(group="(a)"), 0)
    files = replace(data, files=("a/1_x.png", "a/x.png", "b/1_y.png", "b/y.png"))
    message = r"data\.split\.group: '\^\(\\d\)_' finds no group in a/x\.png; names in which it finds none: 2 of 4"
    with pytest.raises(DataError, match=message):
        split(files, Split(group=r"^(\d)_"), 0)
    given = replace(files, given={"train": np.array([0, 1]), "test": np.array([2, 3])})
    with pytest.raises(DataError, match=r"the group 'x' has examples in train and in test"):
        split(replace(given, files=("x_1", "x_2", "x_3", "y_4")), Split(group="^(.)_"), 0)
