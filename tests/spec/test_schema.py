"""Every key of a spec: what it takes, and what holds where it is not given."""

from typing import get_args

import pytest
from pydantic import ValidationError

from cnnlab.spec.activations import ActivationName
from cnnlab.spec.load import parse
from cnnlab.spec.losses import LOSSES_OF_TASK

SHORTEST = "data: {source: digits}\nmodel: {name: lenet5}\n"


def test_a_schedule_without_its_kind_is_cosine_and_an_optimizer_adamw():
    found = parse(SHORTEST + "optimizer: {learning_rate: {peak: 0.5}}", "s").optimizer
    assert found.name == "adamw"
    assert found.learning_rate.schedule == "cosine"


# ---------------------------------------------------------------- what is there without being said

DEFAULTS = {
    "seed": 0,
    "precision": "float32",
    "data": {"source": "digits", "normalize": True, "batch_size": 64, "augment": []},
    "optimizer": {
        "name": "adamw",
        "learning_rate": {"schedule": "cosine", "peak": 0.001, "warmup_epochs": 1.0, "end": 0.0},
        "weight_decay": 0.01,
        "accumulate": 1,
        "layer_rates": {},
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
    },
    "train": {"epochs": 30, "remat": False},
}


def test_the_shortest_spec_is_complete():
    found = parse(SHORTEST, "s", default_name="a").model_dump(mode="json", exclude_none=True)
    model = {"name": "lenet5", "activation": "tanh", "pooling": "avg", "new_head": False, "freeze": [], "ranks": {}}
    assert found == {"name": "a", "model": model, **DEFAULTS}


def test_every_key_of_the_contracts_example_is_read():
    found = parse(CONTRACT, "s")
    assert (found.name, found.seed) == ("digits-lenet5", 0)
    assert found.data.split.model_dump(exclude_none=True) == {
        "train": 0.7,
        "validation": 0.15,
        "test": 0.15,
        "stratify": True,
    }
    assert (found.data.resize, found.data.batch_size) == (32, 64)
    assert [entry.model_dump(exclude_none=True) for entry in found.data.augment] == [{"shift": 2}, {"rotate": 10}]
    assert found.model.name == "lenet5"
    assert (found.optimizer.name, found.optimizer.weight_decay) == ("adamw", 0.0001)
    assert found.optimizer.learning_rate.model_dump() == {
        "peak": 0.003,
        "warmup_epochs": 1,
        "schedule": "cosine",
        "end": 0.0,
    }
    assert found.train.epochs == 30
    assert found.train.early_stopping.model_dump() == {"metric": "validation/loss", "patience": 8, "min_delta": 0.0}


CONTRACT = """\
name: digits-lenet5
seed: 0
data:
  source: digits                 # a comment
  split: {train: 0.7, validation: 0.15, test: 0.15}
  resize: 32
  batch_size: 64
  augment:
    - shift: 2
    - rotate: 10
model:
  name: lenet5
optimizer:
  name: adamw
  learning_rate: {schedule: cosine, peak: 0.003, warmup_epochs: 1}
  weight_decay: 0.0001
train:
  epochs: 30
  early_stopping: {metric: validation/loss, patience: 8}
"""


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("data.augment[0].flip", ("horizontal", "vertical", "both")),
        ("model.pooling", ("avg", "max")),
        ("model.activation", get_args(ActivationName)),
        ("loss.name", LOSSES_OF_TASK["classification"]),
        ("optimizer.learning_rate.schedule", ("constant", "cosine")),
        ("optimizer.name", ("sgd", "momentum", "adam", "adamw")),
        ("train.early_stopping.metric", ("train/loss", "train/accuracy", "validation/loss", "validation/f1")),
    ],
)
def test_every_word_that_is_allowed_is_taken(key, values):
    text = "data: {source: digits, augment: [{}]}\nmodel: {name: lenet5}\n"
    for value in values:
        more = [] if "flip" in key else ["data.augment=[]"]
        found = parse(text, "s", [f"{key}={value}", *more]).model_dump()
        for part in key.replace("[0]", ".0").split("."):
            found = found[int(part) if part.isdigit() else part]
        assert found == value


def test_an_experiment_does_not_change():
    experiment = parse(SHORTEST, "s")
    with pytest.raises(ValidationError, match="frozen"):
        experiment.train.epochs = 3
    assert experiment == parse(SHORTEST, "other")
