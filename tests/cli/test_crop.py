"""A spec with `crop`: training, eval and predict see images of one size, and predict what eval says."""

import csv
import json

import numpy as np
import pytest


def test_predict_and_eval_see_the_same_centre(cnnlab, small):
    spec = small.read_text().replace(
        "augment: [shift: 1, rotate: 10,", "crop: 4\n  augment: [random_crop: 4, rotate: 10,"
    )
    small.write_text(spec.replace("split:", "resize: 8\n  split:"))
    ended = cnnlab("train", small, "train.epochs=1", "--quiet", "--run", "run")
    assert ended.code == 0, ended.err
    data = json.loads((small.parent / "run" / "data.json").read_text())
    assert data["evaluation"] == {"resize": [8, 8], "crop": [4, 4]}
    assert data["input_shape"] == [4, 4, 1]
    assert json.loads((small.parent / "run" / "model.json").read_text())["input_shape"] == [4, 4, 1]
    with (small.parent / "run" / "eval" / "test" / "predictions.csv").open() as file:
        evaluated = list(csv.DictReader(file))
    ended = cnnlab("predict", "run", "small.npz", "--json")
    assert ended.code == 0, ended.err
    answers = json.loads(ended.out)
    assert isinstance(answers, list | dict)
    predicted = answers["predictions"] if isinstance(answers, dict) else answers
    assert len(evaluated) == 18
    for row in evaluated:
        answer = predicted[int(row["index"])]
        assert answer["class"] == row["predicted"]
        assert answer["probability"] == pytest.approx(float(row["probability"]), abs=1e-4)
    assert cnnlab("eval", "run").code == 0
    assert np.load("small.npz")["x"].shape == (90, 6, 6)
