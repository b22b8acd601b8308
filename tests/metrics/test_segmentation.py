"""Figures over pixels against scikit-learn's, pixel by pixel."""

import json

import numpy as np
import pytest
from sklearn import metrics as oracle

from cnnlab.errors import DataError
from cnnlab.metrics.segmentation import segmentation_report

RANDOM = np.random.default_rng(0)
NAMES = ("sky", "road", "car")


def test_figures_are_scikit_learns():
    truth, predicted = RANDOM.integers(0, 3, (2, 5, 8, 9))
    y, z = truth.ravel(), predicted.ravel()
    report = segmentation_report(oracle.confusion_matrix(y, z), NAMES)
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
    report = segmentation_report(np.array([[2, 0, 0], [1, 0, 0], [0, 0, 0]]), NAMES)
    assert [row["iou"] for row in report["per_class"]] == [2 / 3, 0, None]
    assert report["mean_iou"] == pytest.approx(1 / 3)
    assert report["mean_dice"] == pytest.approx(0.4)
    assert report["undefined"] == ["car"]
    json.dumps(report, allow_nan=False)


def test_where_no_pixel_has_a_class_there_are_no_figures():
    with pytest.raises(DataError, match=r"^no pixel has a class; all of them are 255"):
        segmentation_report(np.zeros((3, 3), np.int64), NAMES)
