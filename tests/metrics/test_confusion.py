"""Every classification figure against scikit-learn or a plain loop."""

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from cnnlab.errors import DataError
from cnnlab.metrics.confusion import (
    classification_report,
    confusion_csv,
    confusion_matrix,
    undefined_notes,
)
from cnnlab.metrics.predictions import Predictions, records_csv

CLOSE = {"rel": 0, "abs": 1e-12}


def names(classes: int) -> tuple[str, ...]:
    return tuple(f"class {index}" for index in range(classes))


def from_scores(labels: np.ndarray, scores: np.ndarray) -> Predictions:
    """Predictions by the definitions, a class at a time; ties go to the lower index."""
    ranks = []
    for label, row in zip(labels, scores, strict=True):
        above = [c for c, score in enumerate(row) if score > row[label] or (score == row[label] and c < label)]
        ranks.append(len(above))
    return Predictions(
        labels=labels,
        predicted=scores.argmax(axis=1),
        probability=scores.max(axis=1).astype(np.float32),
        loss=(-scores[np.arange(len(labels)), labels]).astype(np.float32),
        rank=np.array(ranks),
    )


def from_pairs(labels, predicted) -> Predictions:
    labels, predicted = np.array(labels, np.int64), np.array(predicted, np.int64)
    ones = np.ones(len(labels), np.float32)
    return Predictions(labels, predicted, ones, ones, np.where(labels == predicted, 0, 1))


@st.composite
def scored_examples(draw):
    """Few examples over 2 to 9 classes, so that classes without example or prediction are common."""
    classes, n = draw(st.integers(2, 9)), draw(st.integers(1, 25))
    labels = np.array(draw(st.lists(st.integers(0, classes - 1), min_size=n, max_size=n)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    favourites = draw(st.integers(1, classes))  # the classes that are predicted at all
    scores = rng.permuted(np.tile(np.arange(classes, dtype=float), (n, 1)), axis=1)
    scores[:, :favourites] += classes
    return classes, labels, scores


@given(scored_examples())
def test_report_agrees_with_scikit_learn(example):
    classes, labels, scores = example
    predictions = from_scores(labels, scores)
    report = classification_report(predictions, names(classes), "test")
    given_labels = {"labels": range(classes), "zero_division": 0}

    def expected(average):
        return oracle.precision_recall_fscore_support(labels, predictions.predicted, average=average, **given_labels)

    assert report["n"] == len(labels)
    assert report["accuracy"] == pytest.approx(oracle.accuracy_score(labels, predictions.predicted), **CLOSE)
    for average in ("macro", "micro", "weighted"):
        assert list(report[average]) == ["precision", "recall", "f1"]
        assert list(report[average].values()) == pytest.approx(expected(average)[:3], **CLOSE)
    rows = [[row[key] for key in ("precision", "recall", "f1", "support")] for row in report["per_class"]]
    np.testing.assert_allclose(np.array(rows), np.array(expected(None)).T, rtol=0, atol=1e-12)
    matrix = oracle.confusion_matrix(labels, predictions.predicted, labels=range(classes))
    np.testing.assert_array_equal(report["confusion_matrix"], matrix)
    assert report["micro"]["f1"] == report["accuracy"]
    assert report["weighted"]["recall"] == pytest.approx(report["accuracy"], **CLOSE)
    seen = set(labels.tolist()) & set(predictions.predicted.tolist())
    assert report["undefined"] == [names(classes)[c] for c in range(classes) if c not in seen]


@given(scored_examples())
def test_top_5_agrees_with_scikit_learn(example):
    classes, labels, scores = example
    report = classification_report(from_scores(labels, scores), names(classes), "test")
    if classes <= 5:
        assert report["top_k"] == {}
    else:
        share = oracle.top_k_accuracy_score(labels, scores, k=5, labels=range(classes))
        assert report["top_k"] == {"5": pytest.approx(share, **CLOSE)}


def test_top_5_counts_ties_for_the_lower_index():
    scores = np.zeros((2, 7))  # all alike: class 4 is the fifth best, class 5 the sixth
    report = classification_report(from_scores(np.array([4, 5]), scores), names(7), "test")
    assert report["top_k"] == {"5": 0.5}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30), st.integers(0, 30))
def test_matrix_is_a_count_and_merges_by_addition(pairs, cut):
    labels, predicted = np.array(pairs, np.int32).reshape(-1, 2).T
    expected = np.zeros((4, 4), np.int64)
    for label, prediction in pairs:
        expected[label, prediction] += 1
    matrix = confusion_matrix(labels, predicted, 4)
    assert matrix.dtype == np.int64
    np.testing.assert_array_equal(matrix, expected)
    parts = [confusion_matrix(labels[part], predicted[part], 4) for part in (slice(cut), slice(cut, None))]
    np.testing.assert_array_equal(parts[0] + parts[1], expected)


def test_matrix_does_not_overflow_narrow_integers():
    labels = np.array([199], np.uint8)
    assert confusion_matrix(labels, labels, 200)[199, 199] == 1


def test_loss_is_the_float64_mean_of_what_is_stored():
    loss = np.full(10_000, 0.1, np.float32)
    zeros = np.zeros(10_000, np.int64)
    report = classification_report(Predictions(zeros, zeros, loss, loss, zeros), ("a", "b"), "train")
    assert report["loss"] == pytest.approx(float(np.float32(0.1)), **CLOSE)


def test_report_is_the_contract():
    report = classification_report(from_pairs([0, 0, 1, 1], [0, 1, 1, 1]), ("cat", "dog"), "validation")
    assert list(report) == [
        "split", "n", "loss", "accuracy", "top_k", "macro", "micro", "weighted",
        "per_class", "confusion_matrix", "classes", "undefined",
    ]  # fmt: skip
    assert (report["split"], report["n"], report["loss"], report["accuracy"]) == ("validation", 4, 1.0, 0.75)
    assert report["per_class"][0] == {
        "class": "cat", "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3, **CLOSE), "support": 2,
    }  # fmt: skip
    assert report["confusion_matrix"] == [[1, 1], [0, 2]]
    assert report["classes"] == ["cat", "dog"]
    assert report["undefined"] == []
    assert json.loads(json.dumps(report)) == report
    assert undefined_notes(report) == []


def test_undefined_figures_are_told():
    report = classification_report(from_pairs([0, 1, 0], [0, 2, 0]), ("ant", "cat", "dog", "it's"), "test")
    assert report["undefined"] == ["cat", "dog", "it's"]
    assert undefined_notes(report) == [
        "class 'cat' was never predicted: its precision counts as 0",
        "class 'dog' has no example in this split: its recall and f1 count as 0",
        'class "it\'s" has no example in this split and was never predicted: its precision, recall and f1 count as 0',
    ]


def test_tables_as_csv():
    report = classification_report(from_pairs([0, 0, 0, 1], [0, 1, 0, 1]), ("a,b", "old\rmac"), "test")
    rows = list(csv.DictReader(io.StringIO(records_csv(report["per_class"]), newline="")))
    assert list(rows[0]) == ["class", "precision", "recall", "f1", "support"]
    for row, expected in zip(rows, report["per_class"], strict=True):
        assert row["class"] == expected["class"]
        assert int(row["support"]) == expected["support"]
        assert [float(row[key]) for key in ("precision", "recall", "f1")] == list(expected.values())[1:4]
    matrix = list(csv.reader(io.StringIO(confusion_csv(report), newline="")))
    assert matrix == [["true\\predicted", "a,b", "old\rmac"], ["a,b", "2", "1"], ["old\rmac", "0", "1"]]


def test_plain_tables_are_unix_text():
    report = classification_report(from_pairs([0, 1], [0, 1]), ("cat", "dog"), "test")
    assert confusion_csv(report) == "true\\predicted,cat,dog\ncat,1,0\ndog,0,1\n"
    assert (
        records_csv(report["per_class"]) == "class,precision,recall,f1,support\ncat,1.0,1.0,1.0,1\ndog,1.0,1.0,1.0,1\n"
    )


def test_no_example_is_an_error():
    with pytest.raises(DataError, match=r"^the split 'test' has no example; there is nothing to measure$"):
        classification_report(from_pairs([], []), ("cat", "dog"), "test")


@pytest.mark.parametrize(
    ("labels", "predicted", "message"),
    [
        ([0, 2], [0, 0], "^the label of example 1 is 2; with 2 classes it must be from 0 to 1$"),
        ([0, 1], [-1, 0], "^the prediction of example 0 is -1; with 2 classes it must be from 0 to 1$"),
    ],
)
def test_index_out_of_range_is_an_error(labels, predicted, message):
    with pytest.raises(DataError, match=message):
        confusion_matrix(np.array(labels), np.array(predicted), 2)


def test_rank_that_contradicts_the_prediction_is_an_error():
    ones = np.ones(2, np.float32)
    predictions = Predictions(np.array([0, 1]), np.array([0, 0]), ones, ones, np.array([0, 0]))
    message = r"^example 1 of the split 'test' has rank 0, label 1 and prediction 0; rank 0 must .* finite\?$"
    with pytest.raises(DataError, match=message):
        classification_report(predictions, ("cat", "dog"), "test")
