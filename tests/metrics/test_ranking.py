"""Curves and areas against scikit-learn, and the area against its meaning."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from cnnlab.metrics.ranking import (
    average_precision,
    one_against_rest,
    precision_recall_curve,
    ranking_report,
    roc_auc,
    roc_curve,
)

RANDOM = np.random.default_rng(0)
EXAMPLES = st.lists(  # few scores, so that many are equal
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])), min_size=2, max_size=20
).map(lambda rows: tuple(np.array(column) for column in zip(*rows, strict=True)))


@settings(max_examples=100, deadline=None)
@given(EXAMPLES)
def test_curves_and_areas_are_scikit_learns(example):
    yes, scores = example
    if not yes.any():
        assert (precision_recall_curve(yes, scores), average_precision(yes, scores)) == (None, None)
    else:
        curve = precision_recall_curve(yes, scores)
        precision, recall, thresholds = oracle.precision_recall_curve(yes, scores)
        assert curve is not None
        np.testing.assert_allclose(curve.y[::-1], precision[:-1], rtol=0, atol=1e-12)  # without their point (0, 1)
        np.testing.assert_allclose(curve.x[::-1], recall[:-1], rtol=0, atol=1e-12)
        np.testing.assert_array_equal(curve.thresholds[::-1], thresholds)
        expected = oracle.average_precision_score(yes, scores)
        assert average_precision(yes, scores) == pytest.approx(expected, abs=1e-12)
    if yes.all() or not yes.any():
        assert (roc_curve(yes, scores), roc_auc(yes, scores)) == (None, None)
    else:
        curve = roc_curve(yes, scores)
        alarms, hits, thresholds = oracle.roc_curve(yes, scores, drop_intermediate=False)
        assert curve is not None
        np.testing.assert_allclose(curve.x, alarms, rtol=0, atol=1e-12)
        np.testing.assert_allclose(curve.y, hits, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(curve.thresholds, thresholds)
        assert roc_auc(yes, scores) == pytest.approx(oracle.roc_auc_score(yes, scores), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(EXAMPLES)
def test_the_area_is_the_probability_that_a_yes_beats_a_no(example):
    yes, scores = example
    pairs = [(a > b) + (a == b) / 2 for a in scores[yes] for b in scores[~yes]]
    assert roc_auc(yes, scores) == (pytest.approx(np.mean(pairs), abs=1e-12) if pairs else None)


def test_several_classes_are_each_against_the_rest_as_scikit_learn_has_it():
    labels = RANDOM.integers(0, 4, 300)
    scores = RANDOM.dirichlet(np.ones(4), 300).astype(np.float32).astype(np.float64)
    scores /= scores.sum(1, keepdims=True)
    report = ranking_report(one_against_rest(labels, 4), scores, "abcd")
    expected = oracle.roc_auc_score(labels, scores, multi_class="ovr", average="macro")
    assert report["roc_auc"]["macro"] == pytest.approx(expected, abs=1e-12)
    for k, name in enumerate("abcd"):
        expected = oracle.average_precision_score(labels == k, scores[:, k])
        assert report["average_precision"]["per_class"][name] == pytest.approx(expected, abs=1e-12)
    assert report["undefined"] == []


def test_what_is_undefined_is_null_listed_and_in_no_mean():
    truth = np.array([[True, False, True], [False, False, True]])
    report = ranking_report(truth, np.array([[0.9, 0.5, 0.1], [0.2, 0.5, 0.3]]), ("a", "never", "always"))
    assert report["roc_auc"] == {"macro": 1.0, "per_class": {"a": 1.0, "never": None, "always": None}}
    assert report["average_precision"] == {"macro": 1.0, "per_class": {"a": 1.0, "never": None, "always": 1.0}}
    assert report["undefined"] == ["roc_auc of never", "roc_auc of always", "average_precision of never"]
    nothing = ranking_report(np.zeros((2, 1), bool), np.zeros((2, 1)), ("never",))
    assert nothing["roc_auc"]["macro"] is None
    json.dumps([report, nothing], allow_nan=False)


def test_constant_scores_are_a_coin():
    yes, scores = np.array([True, False, False, True]), np.zeros(4, np.float32)
    assert roc_auc(yes, scores) == average_precision(yes, scores) == 0.5
