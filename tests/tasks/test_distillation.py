"""How far a student's answers are from its teacher's, by task, against SciPy's relative entropy."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from cnnlab.errors import SpecError
from cnnlab.models.heads import Heads
from cnnlab.spec.load import parse
from cnnlab.spec.losses import BinaryCrossEntropy, CrossEntropy, MeanSquared
from cnnlab.tasks.classification import Classification
from cnnlab.tasks.heads import Head, SeveralHeads
from cnnlab.tasks.multi_label import MultiLabel
from cnnlab.tasks.regression import Regression
from cnnlab.tasks.segmentation import Segmentation
from cnnlab.train.teacher import by_both

RANDOM, T = np.random.default_rng(0), 2.5
CLASSES = Classification(("a", "b", "c"), CrossEntropy())


def drawn(*shape: int) -> np.ndarray:
    return RANDOM.normal(0, 3, shape).astype(np.float32)


def entropy(student: np.ndarray, teacher: np.ndarray) -> np.ndarray:
    """T^2 KL(teacher || student) over the last axis, in float64."""
    p, q = (scipy.special.softmax(x.astype(np.float64) / T, axis=-1) for x in (teacher, student))
    return T**2 * scipy.stats.entropy(p, q, axis=-1)


def far(task, student, teacher, y=None) -> np.ndarray:
    return np.asarray(task.distillation(student, jnp.asarray(teacher), y, T))


def test_classes():
    student, teacher = drawn(4, 3), drawn(4, 3)
    np.testing.assert_allclose(far(CLASSES, jnp.asarray(student), teacher), entropy(student, teacher), rtol=1e-4)


def test_auxiliary_classifiers_have_the_same_teacher():
    first, second, third, teacher = drawn(4, 4, 3)
    heads = Heads(jnp.asarray(first), (jnp.asarray(second), jnp.asarray(third)), 0.3)
    expected = entropy(first, teacher) + 0.3 * (entropy(second, teacher) + entropy(third, teacher))
    np.testing.assert_allclose(far(CLASSES, heads, teacher), expected, rtol=1e-4)


def test_one_score_stands_for_two_logits():
    two = Classification(("no", "yes"), CrossEntropy())
    score, teacher = drawn(4, 1), drawn(4, 2)
    logits = np.concatenate([np.zeros_like(score), score], -1)
    np.testing.assert_allclose(far(two, jnp.asarray(score), teacher), entropy(logits, teacher), rtol=1e-4)
    np.testing.assert_allclose(far(two, jnp.asarray(teacher), score), entropy(teacher, logits), rtol=1e-4)


def test_labels_are_distributions_of_two_each():
    task = MultiLabel(("a", "b", "c"), BinaryCrossEntropy(name="binary_cross_entropy"))
    student, teacher = drawn(4, 3), drawn(4, 3)
    p, q = (scipy.special.expit(x.astype(np.float64) / T) for x in (teacher, student))
    expected = T**2 * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean(-1)
    np.testing.assert_allclose(far(task, jnp.asarray(student), teacher), expected, rtol=1e-4)


def test_of_maps_those_positions_count_of_which_the_mask_says_something():
    task = Segmentation(("a", "b", "c"), CrossEntropy())
    student, teacher = drawn(3, 4, 5, 3), drawn(3, 4, 5, 3)
    mask = RANDOM.integers(0, 3, (3, 4, 5)).astype(np.uint8)
    mask[0, 0], mask[2] = 255, 255
    each = entropy(student, teacher)
    expected = [each[0, 1:].mean(), each[1].mean(), 0.0]
    np.testing.assert_allclose(far(task, jnp.asarray(student), teacher, jnp.asarray(mask)), expected, rtol=1e-4)


def test_a_student_with_a_smaller_map_learns_from_the_centre_of_its_teachers():
    task = Segmentation(("a", "b", "c"), CrossEntropy())
    student, teacher = drawn(2, 2, 3, 3), drawn(2, 5, 5, 3)
    expected = entropy(student, teacher[:, 1:3, 1:4]).mean((1, 2))
    mask = jnp.zeros((2, 5, 5), jnp.uint8)
    np.testing.assert_allclose(far(task, jnp.asarray(student), teacher, mask), expected, rtol=1e-4)


def numbers(output: str, mean: tuple[float, ...], std: tuple[float, ...]) -> Regression:
    return Regression(("a", "b"), MeanSquared(name="mean_squared"), mean, std, output)


def test_numbers_are_compared_in_the_students_deviations():
    """Whatever deviations the teacher has learnt in."""
    ours, theirs = numbers("identity", (1.0, -3.0), (2.0, 0.5)), numbers("exp", (0.0, 0.0), (1.0, 1.0))
    student, teacher = drawn(4, 2), drawn(4, 2)
    taught = theirs.lesson(jnp.asarray(teacher))
    own = student * np.array([2, 0.5]) + np.array([1, -3])
    expected = (((own - np.exp(teacher.astype(np.float64))) / np.array([2, 0.5])) ** 2).mean(-1)
    np.testing.assert_allclose(far(ours, jnp.asarray(student), taught), expected, rtol=1e-4)


def test_of_several_heads_those_that_have_a_teacher_learn_from_it():
    layers: tuple[Any, ...] = ()
    heads = SeveralHeads(
        (
            Head("kind", CLASSES, 2.0, layers),
            Head("size", numbers("identity", (0.0, 0.0), (1.0, 1.0)), 0.5, layers),
            Head("more", CLASSES, 1.0, layers),
        )
    )
    output = {"kind": drawn(4, 3), "size": drawn(4, 2), "more": drawn(4, 3)}
    taught = {"kind": drawn(4, 3), "size": drawn(4, 2)}
    given, lesson = ({name: jnp.asarray(v) for name, v in values.items()} for values in (output, taught))
    unused = {"class": jnp.zeros(4, jnp.int32), "values": jnp.zeros((4, 2))}
    distances = heads.distillation(given, lesson, unused, T)
    assert set(distances) == {"kind", "size"}
    np.testing.assert_allclose(distances["kind"], 2 * entropy(output["kind"], taught["kind"]), rtol=1e-4)
    np.testing.assert_allclose(distances["size"], ((output["size"] - taught["size"]) ** 2).mean(-1) / 2, rtol=1e-4)
    by_labels = {name: jnp.asarray(drawn(4)) for name in output}
    found = by_both(by_labels, distances, 0.75)
    np.testing.assert_allclose(found["kind"], by_labels["kind"] / 4 + 0.75 * distances["kind"], rtol=1e-6)
    np.testing.assert_array_equal(found["more"], by_labels["more"])


@pytest.mark.parametrize("task", ["reconstruction", "perceptron"])
def test_a_spec_that_distils_what_nobody_can_teach(task):
    text = f"data: {{source: digits}}\nmodel: {{name: perceptron}}\ntask: {task}\ndistill: {{teacher: x}}\n"
    with pytest.raises(SpecError, match=rf"s:4:1: distill: {task} cannot be learnt from a teacher; classification, "):
        parse(text, "s")


def test_numbers_have_no_temperature():
    text = "data: {source: function}\nmodel: {name: mlp}\ntask: regression\ndistill: {teacher: x, temperature: 2}\n"
    with pytest.raises(SpecError, match=r"s:4:23: distill\.temperature: the temperature is of distributions, and a"):
        parse(text, "s")
