"""Figures of agreement against scikit-learn."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from cnnlab.metrics.agreement import Counts, accuracy, agreement_report, balanced_accuracy, kappa, matthews, specificity

PAIRS = st.integers(2, 6).flatmap(
    lambda classes: st.tuples(
        st.just(classes),
        st.lists(st.tuples(*[st.integers(0, classes - 1)] * 2), min_size=1, max_size=30),
    )
)


def matrix_of(pairs, classes):
    labels, predicted = np.array(pairs).T
    return oracle.confusion_matrix(labels, predicted, labels=range(classes))


@settings(max_examples=100, deadline=None)
@given(PAIRS)
def test_figures_are_scikit_learns_wherever_they_are_defined(example):
    classes, pairs = example
    labels, predicted = np.array(pairs).T
    counts = Counts.of(matrix_of(pairs, classes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes without examples, divisions by 0
        expected = {
            accuracy: oracle.accuracy_score(labels, predicted),
            balanced_accuracy: oracle.balanced_accuracy_score(labels, predicted),
            matthews: oracle.matthews_corrcoef(labels, predicted),
            kappa: oracle.cohen_kappa_score(labels, predicted),
        }
    undefined = {
        matthews: min(len(set(labels)), len(set(predicted))) == 1,
        kappa: len(set(labels) | set(predicted)) == 1,
    }
    for figure, value in expected.items():
        found = float(figure(counts))
        if undefined.get(figure, False):
            assert np.isnan(found)
        else:
            assert found == pytest.approx(value, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(PAIRS)
def test_specificity_is_the_recall_of_the_rest(example):
    classes, pairs = example
    labels, predicted = np.array(pairs).T
    for k, found in enumerate(specificity(Counts.of(matrix_of(pairs, classes)))):
        if (labels == k).all():
            assert np.isnan(found)
        else:
            assert found == pytest.approx(oracle.recall_score(labels != k, predicted != k), abs=1e-12)


def test_many_matrices_at_once_are_each_by_itself():
    matrices = np.random.default_rng(0).integers(0, 9, (4, 5, 3, 3))
    for figure in (accuracy, balanced_accuracy, matthews, kappa, specificity):
        together = figure(Counts.of(matrices))
        assert together.shape[:2] == (4, 5)
        np.testing.assert_array_equal(together[2, 3], figure(Counts.of(matrices[2, 3])))


def test_counts_of_pixels_do_not_overflow():
    matrix = np.array([[3, 1], [2, 4]]) * 10**11
    assert float(matthews(Counts.of(matrix))) == pytest.approx(float(matthews(Counts.of(matrix // 10**11))), abs=1e-12)


def test_what_is_undefined_is_null_and_listed():
    report = agreement_report(np.array([[3, 0], [0, 0]]), ("cat", "dog"))
    assert report == {
        "balanced_accuracy": 1.0,
        "matthews_correlation": None,
        "cohens_kappa": None,
        "specificity": {"cat": None, "dog": 1.0},
        "undefined": ["matthews_correlation", "cohens_kappa", "recall of dog", "specificity of cat"],
    }
    json.dumps(report, allow_nan=False)


def test_a_report_has_plain_numbers():
    report = agreement_report(np.array([[8, 2], [1, 9]]), ("cat", "dog"))
    assert report["balanced_accuracy"] == pytest.approx(0.85)
    assert report["specificity"] == {"cat": pytest.approx(0.9), "dog": pytest.approx(0.8)}
    assert report["undefined"] == []
    assert all(type(report[key]) is float for key in ("balanced_accuracy", "matthews_correlation", "cohens_kappa"))
