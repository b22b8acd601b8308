"""What the data alone tells: a loss, an end of the network or an output that its targets do not fit."""

from pathlib import Path

import numpy as np
import pytest

from cnnlab.data.prepare import prepare
from cnnlab.errors import DataError, SpecError
from cnnlab.spec.load import parse
from cnnlab.tasks import task_of

LOSSES = "there are mean_squared, mean_absolute, huber"
SAYS = "the sigmoid at the network's end says from 0 to 1; scale the values, or end with 'dense: classes' and name"


def complaint(folder: Path, text: str, kind: type[Exception]) -> str:
    x = np.arange(8, dtype=np.float32).reshape(8, 1)
    np.savez(folder / "a.npz", x=x, y=x[:, 0] % 2)  # values 0 and 1: mean 0.5, deviation 0.5
    np.savez(folder / "c.npz", x=x, y=x[:, 0] / 2)
    np.savez(folder / "b.npz", x=x, y=(x[:, 0] % 2).astype(np.int64))
    experiment = parse(text, "spec.yaml")
    prepared = prepare(experiment.data, folder, experiment.seed)
    with pytest.raises(kind) as caught:
        task_of(experiment, prepared)
    return str(caught.value)


A = "data: {source: npz, path: a.npz, target: values, split: {train: 1}}\nmodel: {layers: [dense: 1, %s]}\n"
B = A.replace("a.npz, target: values", "b.npz")
C = A.replace("a.npz, target: values", "c.npz")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (C % "relu" + "loss: cross_entropy", f"loss.name: cross_entropy is no loss of regression; {LOSSES}"),
        (B % "softmax", "model.layers[1]: cross_entropy applies the softmax itself; leave this one out"),
        (B % "sigmoid",
         "model.layers[1]: cross_entropy takes scores without bounds, and the sigmoid keeps them from 0 to 1; "
         "leave it out"),
    ],
)  # fmt: skip
def test_the_loss_is_held_against_the_task_that_the_data_is_for(tmp_path, text, said):
    assert complaint(tmp_path, text, SpecError) == said


def test_targets_outside_of_what_the_last_layer_says(tmp_path):
    said = complaint(tmp_path, A % "sigmoid", DataError)
    assert said == f"a.npz: y of example 0 is 0, learnt as -1 deviations from the mean, and {SAYS} task.output"
    outside = A.replace("dense: 1, %s", "dense: 1, hard_threshold") + "task: {name: regression, standardize: true}"
    assert "the hard_threshold at the network's end says from 0 to 1" in complaint(tmp_path, outside, DataError)


@pytest.mark.parametrize(
    ("layer", "task"), [("sigmoid", "{name: regression, standardize: false}"), ("sine", "regression")]
)
def test_targets_within(tmp_path, layer, task):
    x = np.arange(8, dtype=np.float32).reshape(8, 1)
    np.savez(tmp_path / "a.npz", x=x, y=x[:, 0] % 2)
    experiment = parse(A % layer + f"task: {task}", "spec.yaml")
    assert task_of(experiment, prepare(experiment.data, tmp_path, 0)).name == "regression"
