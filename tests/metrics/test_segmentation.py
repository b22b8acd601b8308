"""Figures over pixels against scikit-learn's, pixel by pixel."""

import json

import numpy as np
import pytest
from sklearn import metrics as oracle

from cnnlab.errors import DataError
from cnnlab.metrics.segmentation import IGNORED, pixel_matrices, segmentation_report

RANDOM = np.random.default_rng(0)
NAMES = ("sky", "road", "car")


@pytest.mark.parametrize("space", [(30,), (6, 7), (3, 4, 5)])
def test_each_example_has_its_matrix_without_what_is_ignored(space):
    truth = RANDOM.integers(0, 3, (4, *space)).astype(np.uint8)
    truth[RANDOM.random(truth.shape) < 0.2] = IGNORED
    predicted = RANDOM.integers(0, 3, truth.shape)
    matrices = pixel_matrices(truth, predicted, 3)
    assert matrices.dtype == np.int64
    for mask, answer, matrix in zip(truth, predicted, matrices, strict=True):
        said = mask != IGNORED
        np.testing.assert_array_equal(matrix, oracle.confusion_matrix(mask[said], answer[said], labels=range(3)))


def test_figures_are_scikit_learns():
    truth, predicted = RANDOM.integers(0, 3, (2, 5, 8, 9))
    report = segmentation_report(pixel_matrices(truth, predicted, 3).sum(0), NAMES)
    y, z = truth.ravel(), predicted.ravel()
    assert report["pixel_accuracy"] == pytest.approx(oracle.accuracy_score(y, z), abs=1e-12)
    assert report["mean_iou"] == pytest.approx(oracle.jaccard_score(y, z, average="macro"), abs=1e-12)
    assert report["mean_dice"] == pytest.approx(oracle.f1_score(y, z, average="macro"), abs=1e-12)
    for row, iou, dice, name in zip(
        report["per_class"], oracle.jaccard_score(y, z, average=None), oracle.f1_score(y, z, average=None), NAMES,
        strict=True,
    ):  # fmt: skip
        assert (row["class"], row["pixels"]) == (name, (y == NAMES.index(name)).sum())
        assert (row["iou"], row["dice"]) == (pytest.approx(iou, abs=1e-12), pytest.approx(dice, abs=1e-12))
    assert report["undefined"] == []


def test_a_class_that_is_nowhere_is_in_no_mean_and_one_that_is_missed_counts_0():
    truth = np.array([[[0, 0], [1, IGNORED]]], np.uint8)
    report = segmentation_report(pixel_matrices(truth, np.array([[[0, 0], [0, 2]]]), 3).sum(0), NAMES)
    assert [row["iou"] for row in report["per_class"]] == [2 / 3, 0, None]
    assert report["mean_iou"] == pytest.approx(1 / 3)
    assert report["mean_dice"] == pytest.approx(0.4)
    assert report["undefined"] == ["car"]
    json.dumps(report, allow_nan=False)


def test_what_is_no_class_is_an_error():
    truth = np.zeros((2, 3, 3), np.uint8)
    wrong = truth.copy()
    wrong[1, 2, 0] = 7
    sentence = r"^the mask of example 1 has the class 7 at \[2, 0\]; with 3 classes it must be from 0 to 2$"
    with pytest.raises(DataError, match=sentence):
        pixel_matrices(wrong, truth, 3)
    with pytest.raises(DataError, match=r"^the prediction of example 1 has the class 7"):
        pixel_matrices(truth, wrong, 3)
    with pytest.raises(DataError, match=r"^no pixel has a class; all of them are 255"):
        segmentation_report(pixel_matrices(truth + 255, truth, 3).sum(0), NAMES)
