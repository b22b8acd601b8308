"""Figures of predicted numbers against scikit-learn."""

import json

import numpy as np
import pytest
from sklearn import metrics as oracle

from cnnlab.errors import DataError
from cnnlab.metrics.regression import regression_report

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_figures_are_scikit_learns(targets, dtype):
    truth = RANDOM.normal(5, 2, (40, targets)).astype(dtype)
    predicted = (truth + RANDOM.normal(0, 1, truth.shape)).astype(dtype)
    names = [f"target {k}" for k in range(targets)]
    report = regression_report(truth, predicted, names)
    y, z = truth.astype(np.float64), predicted.astype(np.float64)
    means = {
        "mse": oracle.mean_squared_error(y, z),
        "rmse": oracle.root_mean_squared_error(y, z),
        "mae": oracle.mean_absolute_error(y, z),
        "r2": oracle.r2_score(y, z),
    }
    assert {key: report[key] for key in means} == pytest.approx(means, abs=1e-12)
    largest = [oracle.max_error(y[:, k], z[:, k]) for k in range(targets)]
    assert report["max_error"] == pytest.approx(max(largest), abs=1e-12)
    for k, row in enumerate(report["per_target"]):
        assert list(row) == ["target", "mse", "rmse", "mae", "r2", "max_error"]
        assert row["target"] == names[k]
        assert row["r2"] == pytest.approx(oracle.r2_score(y[:, k], z[:, k]), abs=1e-12)
        assert row["rmse"] == pytest.approx(oracle.root_mean_squared_error(y[:, k], z[:, k]), abs=1e-12)
        assert row["max_error"] == pytest.approx(largest[k], abs=1e-12)
    assert report["undefined"] == []


def test_a_constant_target_has_no_r2_and_is_in_no_mean():
    truth = np.array([[1.0, 0.1], [2.0, 0.1], [4.0, 0.1]])
    report = regression_report(truth, truth + 0.5, ("a", "flat"))
    assert report["per_target"][1]["r2"] is None
    assert report["r2"] == report["per_target"][0]["r2"]
    assert report["undefined"] == ["r2 of flat"]
    alone = regression_report(truth[:, 1:], truth[:, 1:], ("flat",))
    assert alone["r2"] is None
    assert alone["mse"] == 0
    json.dumps([report, alone], allow_nan=False)


def test_without_examples_there_is_nothing_to_measure():
    with pytest.raises(DataError, match=r"^there is no example; there is nothing to measure$"):
        regression_report(np.zeros((0, 1)), np.zeros((0, 1)), ("a",))
