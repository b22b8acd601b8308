"""Splits: what must hold for every data set, and what is refused."""

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from cnnlab.data.dataset import Dataset
from cnnlab.data.split import classes_missing, default_split, duplicates_across, missed, split
from cnnlab.errors import DataError, SpecError
from cnnlab.spec.split import Split


def dataset(y, x=None, given=None, classes=None) -> Dataset:
    """Examples that differ, unless `x` says otherwise."""
    y = np.asarray(y, np.int32)
    x = np.arange(len(y)) if x is None else np.asarray(x)
    classes = classes or tuple(map(str, range(y.max() + 1)))
    return Dataset(x.astype(np.float32)[:, None], y, classes, given=given or {})


def lists(splits):
    return {name: indices.tolist() for name, indices in splits.items()}


def parts(**given):
    return {name: np.array(indices) for name, indices in given.items()}


SHARES = st.sampled_from([(0.7, 0.15, 0.15), (0.5, 0.25, 0.25), (0.34, 0.33, 0.33), (0.8, 0.2, 0), (0.1, 0, 0.9)])
COUNTS = st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(lambda counts: sum(counts) >= 20)


def labels(counts, seed):
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))


def spec(shares, seed=None) -> Split:
    return Split(train=shares[0], validation=shares[1], test=shares[2], seed=seed)


@settings(max_examples=150, deadline=None)
@given(counts=COUNTS, shares=SHARES, seed=st.integers(0, 2**32 - 1))
def test_disjoint_complete_stratified_and_of_the_right_size(counts, shares, seed):
    y = labels(counts, seed)
    splits = split(dataset(y), spec(shares), seed)
    assert sorted(np.concatenate(list(splits.values()))) == list(range(len(y)))
    for indices in splits.values():
        assert indices.dtype == np.int64
        assert (np.diff(indices) > 0).all()
    if any(0 < count * shares[0] < 1 for count in counts):
        assert set(y[splits["train"]]) == set(y)  # a class's one training example comes before the shares
        return
    for name, share in zip(("train", "validation", "test"), shares, strict=True):
        assert (name in splits) == (share > 0)
        if share:
            of_class = np.bincount(y[splits[name]], minlength=len(counts))
            assert np.abs(of_class - np.multiply(counts, share)).max() < 1
            assert abs(len(splits[name]) - len(y) * share) < 1
    assert set(y[splits["train"]]) == set(y)


@settings(max_examples=150, deadline=None)
@given(counts=COUNTS, shares=SHARES, seed=st.integers(0, 99))
@example(counts=[2, 4], shares=(0.4, 0.35, 0.25), seed=0)  # needs an exchange between three splits
@example(counts=[5, 5, 5, 4], shares=(0.4, 0.35, 0.25), seed=0)
def test_totals_are_the_largest_remainders(counts, shares, seed):
    assume(all(count == 0 or count * shares[0] >= 1 for count in counts) or shares == (0.4, 0.35, 0.25))
    splits = split(dataset(labels(counts, seed)), spec(shares), seed)
    exact = np.multiply(shares, sum(counts))
    totals = np.array([len(splits.get(name, ())) for name in ("train", "validation", "test")])
    fractions = exact - np.floor(exact + 1e-9)
    assert set((totals - np.floor(exact + 1e-9)).tolist()) <= {0, 1}
    up = totals > exact + 1e-9
    assert not up.any() or fractions[up].min() >= fractions[~up].max() - 1e-9


def test_same_seed_same_split_and_another_seed_another():
    data = dataset(labels([30, 30], 0))
    assert lists(split(data, None, 7)) == lists(split(data, None, 7))
    assert lists(split(data, None, 7)) != lists(split(data, None, 8))
    own = Split(train=0.7, validation=0.15, test=0.15, seed=7)
    assert lists(split(data, own, 8)) == lists(split(data, None, 7))
    assert lists(split(data, own.model_copy(update={"seed": 10**30}), 8)) != lists(split(data, None, 7))


def test_every_example_may_go_anywhere():
    data = dataset(np.arange(20) % 2)
    trained = sum(np.isin(np.arange(20), split(data, None, seed)["train"]).astype(int) for seed in range(400))
    assert np.abs(trained / 400 - 0.7).max() < 0.12  # 5 standard deviations of a share of 400


@settings(max_examples=100, deadline=None)
@given(
    copies=st.lists(st.integers(1, 6), min_size=15, max_size=60),
    classes=st.integers(1, 4),
    shares=SHARES,
    seed=st.integers(0, 99),
)
def test_identical_examples_stay_together(copies, classes, shares, seed):
    x = np.repeat(np.arange(len(copies)), copies)
    y = x % classes
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order], y[order]
    try:
        splits = split(dataset(y, x), spec(shares), seed)
    except DataError as error:
        assert "split is empty" in str(error)  # noqa: PT017
        return
    assert sorted(np.concatenate(list(splits.values()))) == list(range(len(x)))
    contents = [set(x[indices]) for indices in splits.values()]
    assert sum(map(len, contents)) == len(copies)
    for name, share in zip(("train", "validation", "test"), shares, strict=True):
        if share and shares[0] > 0.3:
            assert abs(len(splits[name]) - share * len(x)) <= 6 * classes + 1


def test_pairs_of_identical_examples_still_give_the_totals():
    x = np.repeat(np.arange(500), 2)
    splits = split(dataset(x % 10, x), None, 0)
    assert {name: len(indices) for name, indices in splits.items()} == {"train": 700, "validation": 150, "test": 150}


def test_identical_examples_with_different_labels_count_as_the_first():
    x = [0] * 10 + list(range(1, 21))
    y = [0] + [1] * 9 + [0] * 10 + [1] * 10
    splits = split(dataset(y, x), None, 0)
    assert [set(range(10)) <= set(indices.tolist()) for indices in splits.values()].count(True) == 1


def test_rare_classes_are_trained():
    for seed in range(20):
        splits = split(dataset([0] * 46 + [1, 2, 2]), Split(train=0.45, validation=0.3, test=0.25), seed)
        assert [len(splits[name]) for name in ("train", "validation", "test")] == [22, 15, 12]
        assert 46 in splits["train"]
        assert set(splits["train"].tolist()) & {47, 48}


def test_many_copies_do_not_fill_a_small_training_share():
    x = [0] * 6 + list(range(1, 35))
    y = [0] * 40
    splits = split(dataset([*y, 1, 1], [*x, 98, 99]), Split(train=0.1, test=0.9), 0)
    assert len(splits["train"]) == 5  # 4 of the 40 and 1 of the 2: the copies went where there is room


NUMBERS = st.tuples(st.integers(12, 60), st.integers(1, 20), st.integers(1, 20))


@settings(max_examples=100, deadline=None)
@given(counts=COUNTS, numbers=NUMBERS, rest=st.sampled_from(["test", "unused", None]), seed=st.integers(0, 99))
def test_numbers_of_examples(counts, numbers, rest, seed):
    train, validation, test = numbers
    total = sum(counts)
    assume(train + validation + test < total)
    amounts = {"train": train, "validation": validation, "test": test if rest != "test" else "rest"}
    if rest == "unused":
        amounts["unused"] = "rest"
    y = labels(counts, seed)
    if rest is None:
        message = rf"{total - train - validation - test} of {total} examples are in no split; give one split 'rest'"
        with pytest.raises(SpecError, match=message):
            split(dataset(y), Split(**amounts), seed)
        return
    splits = split(dataset(y), Split(**amounts), seed)
    assert list(splits) == ["train", "validation", "test"]
    assert set(y[splits["train"]]) == set(y)
    joined = np.concatenate(list(splits.values()))
    assert len(np.unique(joined)) == len(joined) == (total if rest == "test" else train + validation + test)
    assert [len(splits["train"]), len(splits["validation"])] == [train, validation]
    if all(count == 0 or count * train >= total for count in counts):
        for indices in splits.values():
            of_class = np.bincount(y[indices], minlength=len(counts))
            assert np.abs(of_class - np.multiply(counts, len(indices) / total)).max() < 1
        assert missed(Split(**amounts), splits) == ()


def test_shares_with_a_rest_and_without_all():
    data = dataset(np.arange(40) % 2)
    assert lists(split(data, Split(train="rest", test=0.25), 3)) == lists(split(data, Split(train=0.75, test=0.25), 3))
    part = split(data, Split(train=0.5, test=0.2, unused="rest"), 0)
    assert {name: len(indices) for name, indices in part.items()} == {"train": 20, "test": 8}


def test_numbers_that_cannot_be_had():
    data = dataset(np.arange(20) % 4)
    message = r"data\.split: train and test ask for 30 examples, and there are 20; ask for fewer, or give one of them"
    with pytest.raises(SpecError, match=message):
        split(data, Split(train=20, test=10), 0)
    with pytest.raises(SpecError, match=r"data\.split: train is 3, and there are 4 classes; each class needs a"):
        split(data, Split(train=3, test="rest"), 0)
    with pytest.raises(DataError, match=r"the test split is empty: rest of 20 examples"):
        split(data, Split(train=20, test="rest"), 0)


def test_numbers_that_identical_examples_do_not_allow():
    data = dataset(np.zeros(40, int), np.arange(40) // 4)
    spec = Split(train=30, test="rest")
    splits = split(data, spec, 0)
    assert missed(spec, splits) == (
        "data.split asks for other numbers than the 32 train examples: "
        "identical examples, and those of one group, stay together",
    )
    assert missed(None, splits) == missed(Split(train=0.75, test=0.25), splits) == ()


def test_not_stratified():
    """By chance a class is in the test split more or less often than its share."""
    y = np.arange(200) % 2
    of_class = {int(y[split(dataset(y), Split(train=0.8, test=0.2, stratify=False), seed)["test"]].sum())
                for seed in range(12)}  # fmt: skip
    assert len(of_class) > 3
    totals = split(dataset(y), Split(train=50, test=30, unused="rest", stratify=False), 0)
    assert {name: len(indices) for name, indices in totals.items()} == {"train": 50, "test": 30}
    rare = dataset([0] * 19 + [1])
    unlucky = [seed for seed in range(20) if not _trains(rare, Split(train=0.5, test=0.5, stratify=False), seed)]
    assert 3 < len(unlucky) < 17
    with pytest.raises(DataError, match=r"the class '1' has no training example"):
        split(rare, Split(train=0.5, test=0.5, stratify=False), unlucky[0])


def _trains(data, spec, seed) -> bool:
    try:
        return len(split(data, spec, seed)) == 2
    except DataError:
        return False


def test_own_test_split_leaves_the_rest_to_divide():
    y = np.arange(100) % 2
    data = dataset(y, given=parts(train=range(80), test=range(80, 100)))
    splits = split(data, None, 0)
    assert splits["test"].tolist() == list(range(80, 100))
    assert {name: len(indices) for name, indices in splits.items()} == {"train": 68, "validation": 12, "test": 20}
    half = split(data, Split(train=0.5, validation=0.5), 0)
    assert {name: len(indices) for name, indices in half.items()} == {"train": 40, "validation": 40, "test": 20}
    assert np.array_equal(split(data, Split(train=1), 0)["train"], np.arange(80))


def test_own_validation_split_is_left_alone():
    data = dataset(np.arange(20) % 2, given=parts(train=range(15), validation=range(15, 20)))
    assert lists(split(data, None, 0)) == {"train": list(range(15)), "validation": list(range(15, 20))}
    drawn = split(data, Split(train=0.8, test=0.2), 0)
    assert {name: len(indices) for name, indices in drawn.items()} == {"train": 12, "validation": 5, "test": 3}


def test_own_training_split_alone_is_a_pool():
    data = dataset(np.arange(20) % 2, given=parts(train=range(20)))
    assert lists(split(data, None, 3)) == lists(split(dataset(np.arange(20) % 2), None, 3))


def test_default_in_words_is_the_default():
    y = np.arange(40) % 2
    for own in ({}, parts(train=range(30), test=range(30, 40))):
        data = dataset(y, given=own)
        assert lists(split(data, default_split(data), 0)) == lists(split(data, None, 0))
    assert default_split(dataset(y, given=parts(train=range(30), validation=range(30, 40)))) is None
    seeded = default_split(dataset(y), Split(seed=3))
    assert seeded == Split(train=0.7, validation=0.15, test=0.15, seed=3)
    assert lists(split(dataset(y), seeded, 0)) == lists(split(dataset(y), Split(seed=3), 0))
    for own in (Split(train=1), Split(folds=3, fold=1), Split(column="a")):
        assert default_split(dataset(y), own) is own


def test_contradictions_with_the_source():
    y = np.arange(20) % 2
    tested = dataset(y, given=parts(train=range(15), test=range(15, 20)))
    message = r"data\.split: test is 0\.2, and the source has 5 test examples of its own; leave test out"
    with pytest.raises(SpecError, match=message):
        split(tested, Split(train=0.6, validation=0.2, test=0.2), 0)
    validated = dataset(y, given=parts(train=range(15), validation=range(15, 20)))
    with pytest.raises(SpecError, match=r"validation is 0\.2, and the source has 5 validation examples"):
        split(validated, Split(train=0.8, validation=0.2), 0)
    both = dataset(y, given=parts(train=range(10), validation=range(10, 15), test=range(15, 20)))
    assert list(split(both, None, 0)) == ["train", "validation", "test"]
    with pytest.raises(SpecError, match=r"the source has validation and test splits of its own; leave data\.split out"):
        split(both, Split(train=1.0), 0)


def test_empty_splits():
    message = r"data\.split: the validation split is empty: 0\.15 of 2 examples; add examples, or change the shares"
    with pytest.raises(DataError, match=message):
        split(dataset([0, 1]), None, 0)
    with pytest.raises(DataError, match=r"the test split is empty: 0\.01 of 20 examples"):
        split(dataset([0, 1] * 10), Split(train=0.8, validation=0.19, test=0.01), 0)
    with pytest.raises(DataError, match=r"the train split is empty"):
        split(dataset([0, 1], given=parts(train=[], test=[0, 1])), Split(train=1), 0)


def test_class_without_a_training_example():
    data = dataset([0, 1, 0, 1, 2], given=parts(train=range(4), validation=[0], test=[4]))
    message = r"the class '2' has no training example, and test example 0 is in test; what was never trained"
    with pytest.raises(DataError, match=message):
        split(data, None, 0)


def test_notes_on_duplicates():
    data = dataset([0, 1, 0, 1, 1, 0], x=[5, 6, 7, 5, 6, 8])
    assert duplicates_across(data, parts(train=[0, 1, 2], test=[3, 4, 5])) == (
        "2 of the 3 test examples are in train too, for example example 3 is example 0: test figures are too good",
        "1 examples carry another label than an identical one, for example example 0 ('0') and example 3 ('1')",
    )
    assert duplicates_across(dataset([0, 1, 0, 1]), parts(train=[0, 1], test=[2, 3])) == ()


def test_notes_on_classes_that_are_not_measured():
    data = dataset([0, 1, 2, 0, 1, 2], classes=("cat", "dog", "elk"))
    assert classes_missing(data, parts(train=[0, 1, 2], validation=[3, 4], test=[3, 4, 5])) == (
        "1 classes have no validation example: elk",
    )
