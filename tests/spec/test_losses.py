"""Which losses go with which task, and what a loss may not say."""

import pytest

from cnnlab.spec.load import parse
from cnnlab.spec.losses import LOSSES, LOSSES_OF_TASK, CrossEntropy, Dice, Focal, Huber, Sum, default_loss, misfits
from cnnlab.spec.yaml import dotted

NAMES = [cls.tags[0] for cls in LOSSES]


def loss_of(text: str):
    return parse(f"model: {{name: lenet5}}\nloss: {text}\n", "s").loss


def complaints(text: str, task: str) -> list[str]:
    return [f"{dotted(path)}: {message}" for path, message in misfits(loss_of(text), task)]


def test_a_bare_name_has_the_defaults_and_keys_alone_are_of_cross_entropy():
    assert loss_of("huber") == loss_of("{name: huber}") == Huber(name="huber", delta=1.0)
    assert loss_of("{label_smoothing: 0.1}") == CrossEntropy(label_smoothing=0.1)
    assert loss_of("{class_weights: {'1': 2, cat: 0}}") == CrossEntropy(class_weights={"1": 2.0, "cat": 0.0})
    parts = (Dice(name="dice"), Focal(name="focal", gamma=1))
    assert loss_of("{name: sum, of: [dice, {name: focal, gamma: 1}]}") == Sum(name="sum", of=parts)


def test_every_loss_is_of_some_task_and_the_default_fits():
    assert {name for names in LOSSES_OF_TASK.values() for name in names} == set(NAMES)
    for task, names in LOSSES_OF_TASK.items():
        assert default_loss(task).name == names[0]
        assert list(misfits(default_loss(task), task)) == []


@pytest.mark.parametrize("task", LOSSES_OF_TASK)
def test_a_loss_that_does_not_fit_is_named_with_those_that_do(task):
    for name in NAMES:
        said = complaints("{name: sum, of: [dice, dice]}" if name == "sum" else name, task)
        if name in LOSSES_OF_TASK[task]:
            assert said == []
        else:
            assert said == [f"loss.name: {name} is no loss of {task}; there are {', '.join(LOSSES_OF_TASK[task])}"]


@pytest.mark.parametrize(
    ("text", "task", "said"),
    [
        ("{name: focal, alpha: 0.25}", "classification",
         "loss.alpha: alpha weighs yes against no; of classes give class_weights"),
        ("{name: focal, class_weights: balanced}", "multi_label",
         "loss.class_weights: classes have weights; yes and no have alpha"),
        ("{name: hinge, class_weights: {a: 2}}", "multi_label",
         "loss.class_weights: classes have weights; yes and no have positive_weights, a key of binary_cross_entropy"),
        ("{name: binary_cross_entropy, positive_weights: balanced}", "reconstruction",
         "loss.positive_weights: intensities have no yes to weigh; leave it out"),
        ("{name: binary_cross_entropy, label_smoothing: 0.1}", "reconstruction",
         "loss.label_smoothing: intensities are no labels; leave it out"),
        ("{name: sum, of: [dice, focal], weights: [1, 2, 3]}", "segmentation",
         "loss.weights: 3 weights for 2 losses; give one for each"),
        ("{name: sum, of: [dice, {name: focal, l1: 1}]}", "segmentation",
         "loss.of[1].l1: l1 is of the whole network: write it beside 'of'"),
        ("{name: sum, of: [dice, huber]}", "segmentation",
         "loss.of[1].name: huber is no loss of segmentation; there are cross_entropy, dice, focal, sum"),
        ("{name: sum, of: [dice, {name: sum, of: [dice, dice]}]}", "segmentation",
         "loss.of[1].name: a sum in a sum; write its losses out"),
    ],
)  # fmt: skip
def test_keys_that_do_not_go_together(text, task, said):
    assert complaints(text, task) == [said]


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("binary_cross_entropy", "classification"),
        ("{name: focal, alpha: 0.25}", "multi_label"),
        ("{name: binary_cross_entropy, positive_weights: balanced, label_smoothing: 0.1}", "multi_label"),
        ("{name: focal, class_weights: balanced, l2: 0.1}", "segmentation"),
        ("{name: sum, of: [cross_entropy, dice], weights: [1, 0.5], l1: 0.1}", "segmentation"),
    ],
)
def test_keys_that_do(text, task):
    assert complaints(text, task) == []
