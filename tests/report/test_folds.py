"""What the folds come to: mean and deviation of every figure, against NumPy."""

import json

import numpy as np
import pytest

from cnnlab.report.folds import document, figures, fold_result, write
from cnnlab.report.results import Outcome

REPORT = {
    "split": "validation",
    "n": 8,
    "loss": 0.5,
    "accuracy": 0.75,
    "macro": {"f1": 0.25},
    "top_k": {},
    "per_class": [{"recall": 1.0}],
    "kappa": None,
    "perfect": True,
}


def outcome(path, fold) -> Outcome:
    return Outcome(str(path / f"x-fold{fold}"), "best", 10 * fold, fold, {}, "validation/loss", 30, ())


def test_every_number_is_a_figure():
    assert figures(REPORT) == {"loss": 0.5, "accuracy": 0.75, "macro/f1": 0.25}


def test_mean_and_deviation(tmp_path):
    values = np.random.default_rng(0).random((3, 2))
    for fold, row in enumerate(values, 1):
        for split, value in zip(("validation", "test"), row, strict=True):
            folder = tmp_path / f"x-fold{fold}" / "eval" / split
            folder.mkdir(parents=True)
            more = {"auc": 0.5 if fold < 3 else float("nan")}  # undefined in one fold: no mean of it
            (folder / "metrics.json").write_text(json.dumps({**REPORT, "accuracy": value, **more}))
    found = document("x", [fold_result(fold, outcome(tmp_path, fold)) for fold in (1, 2, 3)])
    assert (found["name"], found["folds"], list(found["mean"])) == ("x", 3, ["validation", "test"])
    for k, split in enumerate(("validation", "test")):
        assert found["mean"][split].keys() == {"loss", "accuracy", "macro/f1"}
        assert found["mean"][split]["accuracy"] == pytest.approx(values[:, k].mean(), abs=1e-12)
        assert found["deviation"][split]["accuracy"] == pytest.approx(values[:, k].std(ddof=1), abs=1e-12)
        assert found["deviation"][split]["loss"] == 0
    assert found["runs"][1]["checkpoint"] == {"which": "best", "step": 20, "epoch": 2, "chosen_by": "validation/loss"}
    assert found["runs"][1]["test"]["accuracy"] == values[1, 1]
    write(tmp_path / "folds.json", found)
    assert len(json.loads((tmp_path / "folds.json").read_text())["runs"]) == 3


def test_folds_without_a_test_split(tmp_path):
    for fold in (1, 2):
        folder = tmp_path / f"x-fold{fold}" / "eval" / "validation"
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps(REPORT))
    found = document("x", [fold_result(fold, outcome(tmp_path, fold)) for fold in (1, 2)])
    assert list(found["mean"]) == ["validation"]
