"""What `task: {name: heads}` may say, and what is told about it."""

import pytest

from cnnlab.spec.dump import to_yaml
from cnnlab.spec.load import parse

SPEC = """\
task:
  name: heads
  heads:
    digit: {task: classification, layers: [global_avg_pool, dense: classes]}
    place: {task: {name: segmentation}, weight: 0.5, loss: dice, layers: [conv: {features: 11, kernel: 1}]}
data: {source: digit_scenes}
model: {layers: [conv: {features: 4, kernel: 3}]}
"""


def test_it_is_read_and_written():
    experiment = parse(SPEC, "s")
    assert [head.weight for head in experiment.task.heads.values()] == [1.0, 0.5]  # type: ignore[union-attr]
    assert parse(to_yaml(experiment), "s") == experiment


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("weight: 0.5", "weight: 0", "task.heads.place.weight: must be greater than 0.0, not 0"),
        ("weight:", "wieght:", "task.heads.place.wieght: unknown key (value 0.5); did you mean 'weight'?"),
        ("place:", "digit:", "the key 'digit' is given twice"),
        ("loss: dice", "loss: huber", "task.heads.place.loss.name: huber is no loss of segmentation"),
        ("loss: dice", "loss: {name: dice, l2: 1}", "task.heads.place.loss.l2: l2 is of the whole network"),
        (
            "task: classification",
            "task: perceptron",
            "task.heads.digit.task.name: no task 'perceptron'; there are classification, ",
        ),
        ("task: classification,", "", "task.heads.digit.task: required, and not there"),
        (
            "dense: classes]",
            "dense: classes, softmax]",
            "task.heads.digit.layers[2]: cross_entropy applies the softmax",
        ),
        (
            "  heads:\n    digit: {task: classification, layers: [global_avg_pool, dense: classes]}\n    place: {",
            "  heads: {}\n    # {",
            "task.heads: must have at least 1 entries, not {}",
        ),
        ("data:", "loss: huber\ndata:", "loss: every head has its own loss"),
        ("kernel: 3}]", "kernel: 3}, flatten, dense: classes]", "model.layers[2]: the heads have classes, the trunk"),
        ("kernel: 3}]", "kernel: 3}, {relu: , name: heads}]", "model.layers[1]: the name 'heads' is that of the heads"),
    ],
)
def test_what_is_wrong_is_told(refused, before, after, said):
    assert before in SPEC
    message = refused(SPEC.replace(before, after))
    assert said in message, message
    assert "\n" not in message


DECODER = "layers: [conv: {features: 1, kernel: 3}]"
RECONSTRUCTION = SPEC.replace("    place:", f"    image: {{task: reconstruction, {DECODER}}}\n    place:")


def test_one_of_them_may_reconstruct_the_input():
    settings = "{name: reconstruction, corruption: {gaussian: 0.5}, sparse: {weight: 0.1}, code: conv_0}"
    experiment = parse(RECONSTRUCTION.replace("task: reconstruction", f"task: {settings}"), "s")
    assert parse(to_yaml(experiment), "s") == experiment


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("task: reconstruction", "task: {name: reconstruction, corruption: {}}",
         "s.image.task.corruption: one of gaussian, masking, salt_and_pepper, patches, not none"),
        ("task: reconstruction", "task: {name: reconstruction, target: noisy}", "s.image.task.target: a second noisy"),
        ("task: reconstruction", "task: {name: reconstruction, hidden: true}",
         "s.image.task.hidden: unknown key (value true); did you mean 'hidden_only'?"),
        ("task: reconstruction", "task: {name: reconstruction, normal: ['1']}",
         "s.image.task.normal: training keeps to these classes, and the head 'digit' has to learn all of them"),
        ("task: {name: segmentation}", "task: reconstruction",
         "s.place.task: the head 'image' reconstructs the input already; leave this one out"),
        ("kernel: 3}]}\n    place", "kernel: 3}, relu]}\n    place",
         "s.image.layers[1]: relu says 0 and more, and the normalised input is positive and negative"),
        ("kernel: 3}]}\n    place", "kernel: 3}], loss: dice}\n    place",
         "s.image.loss.name: dice is no loss of reconstruction"),
        ("kernel: 3}]}\n    place", "kernel: 3}], loss: binary_cross_entropy}\n    place",
         "s.image.loss.name: binary_cross_entropy is of values from 0 to 1: set data.normalize to false"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_reconstruction_is_told_of_its_head(refused, before, after, said):
    text = RECONSTRUCTION.replace(", loss: dice", "")
    assert before in text
    message = refused(text.replace(before, after))
    assert said in message, message
    assert "\n" not in message


def test_an_output_that_applies_what_ends_the_layers(refused):
    task = "task: {name: regression, output: tanh}, layers: [global_avg_pool, dense: classes, tanh]"
    text = SPEC.replace("task: classification, layers: [global_avg_pool, dense: classes]", task)
    said = "task.heads.digit.layers[2]: task.heads.digit.task.output applies the tanh itself; leave this one out"
    assert said in refused(text)


def test_a_student_of_which_no_head_can_be_taught(refused):
    layers = "layers: [conv: {features: 1, kernel: 1}]"
    text = f"task: {{name: heads, heads: {{image: {{task: reconstruction, {layers}}}}}}}\n"
    text += "data: {source: digits}\nmodel: {layers: [conv: {features: 4, kernel: 3}]}\ndistill: {teacher: x}\n"
    assert "distill: reconstruction cannot be learnt from a teacher; classification," in refused(text)


def test_one_head_is_enough():
    assert len(parse(SPEC.replace("    place: {", "    # {"), "s").task.heads) == 1  # type: ignore[union-attr]


def test_early_stopping_may_watch_a_figure_of_a_head(refused):
    watching = SPEC + "train: {early_stopping: {metric: validation/digit/accuracy}}\n"
    assert parse(watching, "s").train.early_stopping.sign == -1  # type: ignore[union-attr]
    assert "must be one of" in refused(watching.replace("validation/digit", "validation/a/digit"))
