"""Calibration against loops and scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as oracle
from sklearn.calibration import calibration_curve

from cnnlab.metrics.calibration import log_losses, reliability

RANDOM = np.random.default_rng(0)


def test_bins_are_scikit_learns_where_no_confidence_is_on_an_edge():
    confidence = RANDOM.random(500)
    right = RANDOM.random(500) < confidence**2
    found = reliability(confidence, right, bins=10)
    true, said = calibration_curve(right, confidence, n_bins=10)
    np.testing.assert_allclose(found.accuracy, true, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.confidence, said, rtol=0, atol=1e-12)
    assert found.counts.sum() == 500


def test_the_error_is_the_mean_gap_weighed_by_examples_and_empty_bins_are_undefined():
    confidence, right = np.array([0.05, 0.1, 0.95, 0.9, 1.0]), np.array([False, True, True, False, True])
    found = reliability(confidence, right, bins=10)
    assert found.counts.tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 1, 2]  # 0.1 and 0.9 belong below their edges
    assert np.isnan(found.accuracy[1:8]).all()
    assert np.isnan(found.confidence[1:8]).all()
    expected = (2 * abs(0.5 - 0.075) + 1 * abs(0 - 0.9) + 2 * abs(1 - 0.975)) / 5
    assert found.error == pytest.approx(expected, abs=1e-12)


def test_the_error_by_a_loop_over_bins():
    confidence = RANDOM.random(200).astype(np.float32)
    right = RANDOM.random(200) < 0.7
    error = 0.0
    for low in range(15):
        inside = [(c, r) for c, r in zip(confidence.tolist(), right, strict=True) if low / 15 < c <= (low + 1) / 15]
        if inside:
            said, true = np.mean(inside, axis=0)
            error += len(inside) / 200 * abs(true - said)
    assert reliability(confidence, right).error == pytest.approx(error, abs=1e-12)


def test_0_and_1_have_bins():
    assert reliability(np.array([0.0, 1.0]), np.array([True, True]), bins=4).counts.tolist() == [1, 0, 0, 1]


def test_sure_and_right_is_calibrated():
    assert reliability(np.ones(3, np.float32), np.ones(3, bool)).error == 0


def test_the_log_loss_is_scikit_learns_also_of_impossible_answers():
    labels = RANDOM.integers(0, 3, 50)
    probabilities = RANDOM.dirichlet(np.ones(3), 50)
    expected = oracle.log_loss(labels, probabilities, labels=range(3))
    assert log_losses(probabilities, labels).mean() == pytest.approx(expected, abs=1e-12)
    sure = np.eye(3)[(labels + 1) % 3]
    assert log_losses(sure, labels).mean() == pytest.approx(oracle.log_loss(labels, sure, labels=range(3)), abs=1e-12)
    assert np.isfinite(log_losses(sure.astype(np.float32), labels)).all()
