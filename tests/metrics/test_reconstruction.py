"""Figures of reconstructions against scikit-learn and the formula; their resamples against the plain report."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from cnnlab.errors import DataError
from cnnlab.metrics import resampled
from cnnlab.metrics.reconstruction import psnr, reconstruction_report

RANDOM = np.random.default_rng(0)
MSE, LABELS = RANDOM.uniform(0.01, 0.2, 60), RANDOM.integers(0, 3, 60)
NAMES = ("a", "b", "c")


def test_decibels():
    np.testing.assert_allclose(psnr(np.array([0.01, 1.0, 4.0]), 1.0), [20, 0, -10 * np.log10(4)])
    assert psnr(np.array(0.01), 10.0) == pytest.approx(40)
    assert np.isnan(psnr(np.array([0.0]), 1.0)).all()
    assert np.isnan(psnr(np.array([0.5]), 0.0)).all()


def test_the_report_by_class_and_of_anomalies():
    report = reconstruction_report(MSE, 1.0, LABELS, NAMES, normal=["b"], corrupted_mse=4 * MSE)
    strange = LABELS != 1
    assert report["roc_auc"] == pytest.approx(roc_auc_score(strange, MSE))
    assert report["average_precision"] == pytest.approx(average_precision_score(strange, MSE))
    assert report["anomalies"] == strange.sum()
    assert report["psnr"] - report["corrupted_psnr"] == pytest.approx(10 * np.log10(4))
    for k, row in enumerate(report["per_class"]):
        own = MSE[k == LABELS]
        assert row["class"] == NAMES[k]
        assert (row["normal"], row["examples"]) == (k == 1, len(own))
        assert (row["mse"], row["psnr"]) == (pytest.approx(own.mean()), pytest.approx(-10 * np.log10(own.mean())))
    assert report["undefined"] == []


def test_what_is_not_defined_is_named():
    report = reconstruction_report(np.zeros(4), 1.0, np.ones(4, int), NAMES, normal=["b"])
    assert (report["mse"], report["psnr"], report["roc_auc"], report["average_precision"]) == (0, None, None, None)
    assert report["undefined"] == ["psnr", "roc_auc", "average_precision"]
    assert [row["class"] for row in report["per_class"]] == ["b"]
    assert reconstruction_report(MSE, 1.0, np.zeros(60, int), ())["per_class"] == []
    with pytest.raises(DataError, match="there is no example"):
        reconstruction_report(np.zeros(0), 1.0, np.zeros(0, int), NAMES)


def test_a_resample_is_the_report_of_what_was_drawn():
    weights = np.stack([np.bincount(RANDOM.integers(0, 60, 60), minlength=60) for _ in range(5)], 1).astype(float)
    found = resampled.reconstruction(MSE, 2.0, 3 * MSE)(weights)
    for k, weight in enumerate(weights.T.astype(int)):
        drawn = np.repeat(MSE, weight)
        report = reconstruction_report(drawn, 2.0, np.zeros(60, int), (), corrupted_mse=3 * drawn)
        for name in ("mse", "psnr", "corrupted_psnr"):
            assert found[name][k] == pytest.approx(report[name]), name
