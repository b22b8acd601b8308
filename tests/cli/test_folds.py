"""Folds from the command line: a run each, named after it, and what all of them come to."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def folded(small) -> Path:
    """Three folds of 75 images, and 15 for the test; one epoch of a network without hidden layers."""
    text = small.read_text().replace("{train: 0.6, validation: 0.2, test: 0.2}", "{folds: 3, test: 15}")
    text = text.split("model:")[0] + "model: {name: softmax_regression}\ntrain: {epochs: 1}\n"
    text = text.replace("shift: 1, rotate: 10, flip: horizontal, noise: 0.1", "")
    small.write_text(text)
    return small


def validated(run: str) -> list[int]:
    rows = csv.DictReader(Path(run, "splits.csv").read_text().splitlines())
    return [int(row["index"]) for row in rows if row["split"] == "validation"]


def test_all_folds(folded, cnnlab):
    ended = cnnlab("train", folded, "--fold", "all", "--quiet", "--json")
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(ended.out)
    assert json.loads(Path("runs/small-folds.json").read_text()) == found
    runs = [run["run"] for run in found["runs"]]
    assert runs == ["runs/small-fold1", "runs/small-fold2", "runs/small-fold3"]
    parts = [validated(run) for run in runs]
    assert sorted(i for part in parts for i in part) == sorted({i for part in parts for i in part})
    assert [len(part) for part in parts] == [25, 25, 25]
    for split in ("validation", "test"):
        reports = [json.loads(Path(run, "eval", split, "metrics.json").read_text()) for run in runs]
        values = [report["accuracy"] for report in reports]
        assert found["mean"][split]["accuracy"] == pytest.approx(np.mean(values), abs=1e-12)
        assert found["deviation"][split]["accuracy"] == pytest.approx(np.std(values, ddof=1), abs=1e-12)
        assert found["deviation"][split]["loss"] == pytest.approx(np.std([r["loss"] for r in reports], ddof=1))

    again = cnnlab("train", folded, "--fold", "all", "--resume", "--quiet")  # all are finished: only the tables
    assert again.code == 0
    assert json.loads(Path("runs/small-folds.json").read_text()) == found
    lines = again.out.splitlines()
    assert lines[0] == "small: 3 folds, of each the best step by validation/loss"
    assert lines[-2:] == ["runs  runs/small-fold1 ... runs/small-fold3", "more  runs/small-folds.json"]
    assert max(map(len, lines)) <= 80
    mean = next(line.split() for line in lines if line.startswith(" mean"))
    assert mean[1:3] == [f"{found['mean']['validation'][name]:.4f}" for name in ("loss", "accuracy")]


def test_one_fold_is_the_same_from_the_option_the_spec_and_its_resolved_form(folded, cnnlab):
    assert cnnlab("train", folded, "--fold", "2", "--quiet").code == 0
    folded.write_text(folded.read_text().replace("folds: 3", "folds: 3, fold: 2"))
    assert cnnlab("train", folded, "--quiet").code == 0
    assert cnnlab("train", "runs/small-fold2/resolved.yaml", "--quiet").code == 0
    names = ["small-fold2", "small-fold2-2", "small-fold2-3"]
    assert sorted(path.name for path in Path("runs").iterdir()) == names
    texts = {Path("runs", name, "eval", "test", "metrics.json").read_text() for name in names}
    assert len(texts) == 1
    assert cnnlab("eval", "runs/small-fold2", "--split", "validation").code == 0


def test_all_folds_in_a_directory_of_their_own(folded, cnnlab):
    ended = cnnlab("train", folded, "--fold", "all", "--run", "mine", "--quiet", "data.split.folds=2")
    assert ended.code == 0
    assert sorted(path.name for path in Path("mine").iterdir()) == ["fold1", "fold2", "folds.json"]


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        ("0", "--fold: '0' is no fold; a number from 1, or all"),
        ("both", "--fold: 'both' is no fold; a number from 1, or all"),
        ("4", "command line: data.split.fold=4: data.split.fold: 4, and there are 3 folds, counted from 1"),
        (None, "data.split: 3 folds, and none is chosen to validate; train with --fold 1 (to 3) or all, "
         "or give data.split.fold"),
    ],
)  # fmt: skip
def test_a_fold_that_is_none(folded, cnnlab, fold, message):
    ended = cnnlab("train", folded, *(() if fold is None else ("--fold", fold)))
    assert (ended.code, ended.out, ended.err) == (2, "", message + "\n")
    assert not Path("runs").exists()


@pytest.mark.parametrize("fold", ["1", "all"])
def test_a_spec_without_folds(small, cnnlab, fold):
    ended = cnnlab("train", small, "--fold", fold)
    message = "command line: data.split.fold=1: data.split.fold: fold 1 of how many? Give data.split.folds\n"
    assert (ended.code, ended.err) == (2, message)


def test_early_stopping_on_the_test_split_is_refused(small, cnnlab):
    ended = cnnlab("train", small, "train.early_stopping.metric=test/accuracy")
    assert ended.code == 2
    assert ended.err == (
        "command line: train.early_stopping.metric=test/accuracy: train.early_stopping.metric: test/accuracy would "
        "choose by the test split, which would measure nothing new then; watch validation/accuracy\n"
    )


def test_classes_evened_out_from_the_spec(folded, cnnlab):
    more = ["data.split={train: 60, test: rest}", "data.sampling={top: 2, middle: 0.5}", "--quiet", "--json"]
    first, second = (cnnlab("train", folded, *more) for _ in range(2))
    assert first.code == 0
    assert json.loads(first.out)["metrics"] == json.loads(second.out)["metrics"]
    plain = cnnlab("train", folded, *more[:1], *more[2:])
    assert json.loads(plain.out)["metrics"]["loss"] != json.loads(first.out)["metrics"]["loss"]
    refused = cnnlab("train", folded, "data.sampling={tpo: 2}", "--fold", "1")
    assert (refused.code, refused.err) == (2, "data.sampling: no class 'tpo'; did you mean 'top'?\n")
