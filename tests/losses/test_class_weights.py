"""Factors of classes and labels, the balanced ones against scikit-learn's."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from cnnlab.errors import SpecError
from cnnlab.losses.class_weights import class_weights, positive_weights

LABELS = np.array([0] * 5 + [1] * 2 + [2])
COUNTS = np.bincount(LABELS)


def test_balanced_weights_are_scikit_learns_and_have_the_mean_1_over_examples():
    weights = class_weights("balanced", ("a", "b", "c"), COUNTS)
    assert weights is not None
    assert weights.dtype == np.float32
    np.testing.assert_allclose(
        weights, compute_class_weight("balanced", classes=np.arange(3), y=LABELS).astype(np.float32)
    )
    assert weights[LABELS].mean() == pytest.approx(1)


def test_given_weights_stand_in_the_order_of_the_classes_and_are_1_elsewhere():
    np.testing.assert_array_equal(class_weights({"c": 3.0, "a": 0.0}, ("a", "b", "c"), COUNTS), [0, 1, 3])  # type: ignore[arg-type]
    np.testing.assert_array_equal(positive_weights({"b": 3.0}, ("a", "b"), np.array([1, 1]), 4), [1, 3])  # type: ignore[arg-type]
    assert class_weights(None, ("a",), np.array([1])) is None
    assert positive_weights(None, ("a",), np.array([1]), 1) is None


def test_balanced_yeses_weigh_as_much_as_the_noes():
    counts = np.array([1, 4, 0, 8])
    weights = positive_weights("balanced", ("a", "b", "never", "always"), counts, 8)
    np.testing.assert_array_equal(weights, [7, 1, 1, 1])  # type: ignore[arg-type]


def test_a_class_without_examples_keeps_1():
    np.testing.assert_allclose(class_weights("balanced", ("a", "b"), np.array([6, 0])), [0.5, 1])  # type: ignore[arg-type]


def test_a_strange_name_is_an_error_with_the_nearest():
    with pytest.raises(SpecError, match=r"^loss.class_weights: no class 'kat'; did you mean 'cat'\?$"):
        class_weights({"kat": 1.0}, ("cat", "dog"), np.array([1, 1]))
    names = tuple(f"class {i}" for i in range(12))
    with pytest.raises(
        SpecError, match=r"^loss.positive_weights: no label 'x'; there are class 0, .*, class 9, \.\.\.$"
    ):
        positive_weights({"x": 1.0}, names, np.ones(12, int), 3)
