"""Figures of several labels an example against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as oracle

from cnnlab.errors import DataError
from cnnlab.metrics.multi_label import multi_label_report

TABLES = st.tuples(st.integers(1, 8), st.integers(2, 4)).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)


@settings(max_examples=60, deadline=None)
@given(TABLES)
def test_figures_are_scikit_learns(tables):
    truth, predicted = tables
    labels = [f"label {k}" for k in range(truth.shape[1])]
    report = multi_label_report(truth, predicted, labels)
    assert report["subset_accuracy"] == pytest.approx(oracle.accuracy_score(truth, predicted), abs=1e-12)
    assert report["hamming_loss"] == pytest.approx(oracle.hamming_loss(truth, predicted), abs=1e-12)
    for average in ("macro", "micro", "weighted", "samples"):
        expected = oracle.precision_recall_fscore_support(truth, predicted, average=average, zero_division=0)
        assert list(report[average].values()) == pytest.approx(expected[:3], abs=1e-12)
    each = np.array(oracle.precision_recall_fscore_support(truth, predicted, zero_division=0)).T
    rows = [[row[key] for key in ("precision", "recall", "f1", "support")] for row in report["per_label"]]
    np.testing.assert_allclose(rows, each, rtol=0, atol=1e-12)
    without = [k for k, name in enumerate(labels) if name in report["undefined"]]
    assert without == [k for k in range(len(labels)) if not truth[:, k].any() or not predicted[:, k].any()]
    empty = sum(not t.any() or not p.any() for t, p in zip(truth, predicted, strict=True))
    assert report["empty_examples"] == empty


def test_without_examples_there_is_nothing_to_measure():
    with pytest.raises(DataError, match=r"^there is no example"):
        multi_label_report(np.zeros((0, 2), bool), np.zeros((0, 2), bool), ("a", "b"))
