"""What `task: perceptron` fills in, and what it has no use for."""

import pytest

from cnnlab.spec.dump import to_yaml
from cnnlab.spec.load import parse
from cnnlab.spec.optimizers import SGD, AdamW
from cnnlab.spec.schedules import Constant
from cnnlab.spec.train import EarlyStopping

SPEC = "task: perceptron\ndata: {source: two_moons}\nmodel: {name: perceptron}\n"


def test_the_rule_has_its_own_defaults():
    experiment = parse(SPEC + "train: {epochs: 7}\n", "s")
    assert experiment.optimizer == SGD(name="sgd", learning_rate=1.0)
    assert experiment.train.early_stopping == EarlyStopping(metric="train/errors", patience=7)
    assert parse(to_yaml(experiment), "s") == experiment


@pytest.mark.parametrize("given", ["{learning_rate: 0.5}", "{name: sgd, learning_rate: 0.5}"])
def test_a_rate_is_kept(given):
    assert parse(f"{SPEC}optimizer: {given}\n", "s").optimizer == SGD(name="sgd", learning_rate=0.5)


def test_a_constant_schedule_is_a_rate_and_a_stopping_of_ones_own_is_kept():
    text = f"{SPEC}optimizer: {{name: sgd, learning_rate: {{schedule: constant, peak: 2}}}}\n"
    experiment = parse(text + "train: {early_stopping: {metric: validation/accuracy, patience: 3}}\n", "s")
    assert experiment.optimizer.learning_rate == Constant(schedule="constant", peak=2.0)
    assert experiment.train.early_stopping == EarlyStopping(metric="validation/accuracy", patience=3)


def test_other_tasks_keep_their_defaults():
    experiment = parse(SPEC.replace("task: perceptron\n", ""), "s")
    assert isinstance(experiment.optimizer, AdamW)
    assert experiment.train.early_stopping is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("optimizer: {name: ^adamw}", "optimizer.name: the perceptron's rule is no adamw; choose sgd, or leave"),
        ("optimizer: {^beta1: 0.5}", "optimizer.name: the perceptron's rule is no adamw"),
        ("optimizer: {name: sgd, ^weight_decay: 0.1}", "optimizer.weight_decay: the perceptron's rule has no weight"),
        ("optimizer: {name: sgd, ^clip_norm: 1}", "optimizer.clip_norm: the perceptron's rule has no clip_norm"),
        ("optimizer: {^learning_rate: {peak: 0.1}}", "optimizer.learning_rate: .* has a constant rate: give a number"),
        (
            "optimizer: {^learning_rate: {schedule: constant, warmup_epochs: 1}}",
            "optimizer.learning_rate: .* has a constant rate",
        ),
        ("^precision: bfloat16", "precision: the perceptron's rule is computed in float32, not in bfloat16"),
        ("loss: {name: perceptron, ^l2: 0.1}", "loss.l2: the perceptron's rule moves weights by errors alone"),
    ],
)
def test_a_setting_without_a_meaning_is_told(refused, given, said):
    import re

    message = refused(f"{SPEC}{given.replace('^', '')}\n")
    assert re.search(said, message), message
    assert "\n" not in message
    if "beta1" not in given:  # the name is not in the file, and the place is that of the mapping
        assert message.startswith(f"spec.yaml:4:{given.index('^') + 1}: ") or "name: ^" in given


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("{name: mlp}", "model.name: .* trains one layer; choose perceptron, not mlp"),
        ("{layers: [flatten, dense: 4, dense: classes]}", "model.layers: .* one dense layer, nothing but flatten"),
        ("{layers: [flatten, dense: classes, relu]}", "model.layers: .* one dense layer"),
        ("{layers: [conv: {features: 2, kernel: 3}, flatten, dense: classes]}", "model.layers: .* one dense layer"),
        ("{name: perceptron, freeze: [head]}", "model.freeze: .* its one layer as a whole"),
        ("{name: perceptron, ranks: {head: 2}}", "model.ranks: .* one layer, not two"),
    ],
)
def test_only_one_layer_is_trained(model, said):
    import re

    from cnnlab.errors import SpecError

    with pytest.raises(SpecError) as refused:
        parse(SPEC.replace("{name: perceptron}", model), "s")
    assert re.search(said, str(refused.value))


def test_inputs_that_change_are_told(refused):
    spec = SPEC.replace("two_moons}", "digits, augment: [shift: 1]}")
    assert "data.augment: an epoch without an error says nothing of inputs that change" in refused(spec)


def test_one_dense_layer_of_ones_own_will_do():
    parse(SPEC.replace("{name: perceptron}", "{layers: [flatten, dense: {features: classes, bias: false}]}"), "s")
