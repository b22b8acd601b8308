"""Weights and shares of classes against scikit-learn and by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.utils.class_weight import compute_class_weight

from cnnlab.data.dataset import Dataset, Target
from cnnlab.data.imbalance import class_weights, imbalance, imbalance_notes, positive_weights, sampling_shares
from cnnlab.data.prepare import Prepared, describe, with_class_weights
from cnnlab.errors import SpecError


def dataset(*counts: int) -> Dataset:
    y = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    return Dataset(np.arange(len(y), dtype=np.float32)[:, None], y, tuple("abcdefgh"[: len(counts)]))


@given(arrays.arrays(np.int64, st.integers(1, 8), elements=st.integers(1, 1000)))
def test_balanced_weights_are_scikit_learns(counts):
    y = np.repeat(np.arange(len(counts)), counts)
    found = class_weights("balanced", tuple(map(str, range(len(counts)))), counts)
    assert found.dtype == np.float32
    expected = compute_class_weight("balanced", classes=np.arange(len(counts)), y=y)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found[y].mean() == pytest.approx(1, abs=1e-5)


def test_classes_without_examples():
    assert class_weights("balanced", "abc", np.array([30, 0, 10])).tolist() == pytest.approx([2 / 3, 1, 2])
    assert sampling_shares("balanced", "abc", np.array([30, 0, 10])).tolist() == [0.5, 0, 0.5]


def test_named_weights():
    assert class_weights({"b": 3}, "abc", np.array([1, 1, 1])).tolist() == [1, 3, 1]
    assert sampling_shares({"b": 3.0}, "abc", np.array([10, 10, 20])).tolist() == pytest.approx([1 / 6, 1 / 2, 1 / 3])


def test_weights_of_labels():
    labels = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0]], np.uint8)
    assert positive_weights("balanced", "abc", labels).tolist() == [0, 3, 1]
    assert positive_weights({"c": 7}, "abc", labels).tolist() == [1, 1, 7]


def test_weights_come_with_the_data_and_back_from_a_run():
    data = dataset(30, 10)
    prepared = Prepared(data, {"train": np.arange(10, 40), "test": np.arange(10)}, np.zeros(1), np.ones(1))
    assert with_class_weights(prepared, None) is prepared
    weighted = with_class_weights(prepared, "balanced")
    assert weighted.class_weights is not None
    assert weighted.class_weights.tolist() == [0.75, 1.5]
    assert describe(weighted)["class_weights"] == [0.75, 1.5]
    assert "class_weights" not in describe(prepared)


def test_weights_of_the_classes_of_masks():
    values = np.array([[0, 0, 0], [0, 1, 255], [1, 1, 1]], np.uint8)[:, :, None]
    masks = {"mask": Target(values, ("sky", "sea", "land"))}
    data = Dataset(np.zeros((3, 3, 1, 1), np.float32), np.zeros(3, np.int32), (), targets=masks)
    prepared = Prepared(data, {"train": np.arange(2)}, np.zeros(1), np.ones(1))
    weighted = with_class_weights(prepared, "balanced")
    assert weighted.class_weights is not None
    assert weighted.class_weights.tolist() == pytest.approx([5 / 8, 5 / 2, 1])
    nothing = replace(prepared, dataset=replace(data, targets={}))
    with pytest.raises(SpecError, match=r"loss\.class_weights: class_weights go by classes, and this data has none"):
        with_class_weights(nothing, "balanced")


def test_a_class_that_is_not_there():
    message = r"data\.sampling: no class 'dgo'; did you mean 'dog'\?"
    with pytest.raises(SpecError, match=message):
        sampling_shares({"cat": 1, "dgo": 2}, ("cat", "dog"), np.array([1, 1]))
    with pytest.raises(SpecError, match=r"loss\.class_weights: no class '7'; there are cat, dog"):
        class_weights({"7": 2}, ("cat", "dog"), np.array([1, 1]))


def test_the_ratio():
    data = dataset(31, 10, 0, 12)
    found = imbalance(data, np.arange(53))
    largest, smallest = {"class": "a", "examples": 31}, {"class": "b", "examples": 10}
    assert found == {"ratio": 3.1, "largest": largest, "smallest": smallest}
    assert imbalance_notes(data, np.arange(53)) == ("the classes' imbalance in training is 3.1: 'a' (31) to 'b' (10)",)
    assert imbalance_notes(data, np.arange(1, 53)) == ()  # 3, and no more
    targets = Dataset(data.x, np.zeros(53, np.int32), ())
    assert imbalance(targets, np.arange(53)) is None
