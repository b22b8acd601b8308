"""How far a student's answers are from its teacher's, by task, against SciPy's relative entropy."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from cnnlab.models.heads import Heads
from cnnlab.spec.load import parse
from cnnlab.spec.losses import BinaryCrossEntropy, CrossEntropy, MeanSquared
from cnnlab.tasks.classification import Classification
from cnnlab.tasks.multi_label import MultiLabel
from cnnlab.tasks.regression import Regression
from cnnlab.tasks.segmentation import Segmentation

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


def test_numbers_are_no_distribution():
    with pytest.raises(TypeError, match="regression has no distribution"):
        Regression(("a",), MeanSquared(name="mean_squared"), (0.0,), (1.0,)).distillation(0, 0, 0, T)


@pytest.mark.parametrize("task", ["regression", "reconstruction", "perceptron"])
def test_a_spec_that_distils_what_has_none(task):
    text = f"data: {{source: digits}}\nmodel: {{name: perceptron}}\ntask: {task}\ndistill: {{teacher: x}}\n"
    with pytest.raises(Exception, match=rf"s:4:1: distill: {task} has no distribution to learn from a teacher"):
        parse(text, "s")
