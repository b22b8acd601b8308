"""A spec's loss as a function: every name of every task, with its keys."""

import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import SpecError
from cnnlab.losses import binary, chosen, classification, regression, segmentation
from cnnlab.spec import losses as spec
from cnnlab.spec.losses import LOSSES_OF_TASK

RANDOM = np.random.default_rng(0)
CLASSES = ("a", "b", "c")
COUNTS = np.array([6, 3, 1])
BALANCED = jnp.asarray(10 / (3 * COUNTS), jnp.float32)
LOGITS = jnp.asarray(RANDOM.normal(size=(4, 3)), jnp.float32)
LABELS = jnp.asarray(RANDOM.integers(0, 3, 4))
YES = jnp.asarray(RANDOM.integers(0, 2, (4, 3)))
MAPS = jnp.asarray(RANDOM.normal(size=(2, 5, 4, 3)), jnp.float32)
MASK = jnp.asarray(RANDOM.integers(0, 3, (2, 5, 4)).astype(np.uint8))


def loss(name: str, **keys: object) -> spec.Loss:
    cls = next(cls for cls in spec.LOSSES if cls.tags == (name,))
    return cls.model_validate({"name": name, **keys})


@pytest.mark.parametrize(
    ("chosen_loss", "expected"),
    [
        (loss("cross_entropy", label_smoothing=0.1, class_weights="balanced"),
         classification.cross_entropy(LOGITS, LABELS, label_smoothing=0.1, class_weights=BALANCED)),
        (loss("focal", gamma=1, class_weights="balanced"),
         classification.focal(LOGITS, LABELS, gamma=1.0, class_weights=BALANCED)),
        (loss("hinge", class_weights={"b": 2}),
         classification.hinge(LOGITS, LABELS, class_weights=jnp.array([1.0, 2.0, 1.0]))),
        (loss("perceptron"), classification.perceptron(LOGITS, LABELS)),
    ],
)  # fmt: skip
def test_losses_of_classes(chosen_loss, expected):
    np.testing.assert_allclose(chosen.of_classes(chosen_loss, CLASSES, COUNTS)(LOGITS, LABELS), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("chosen_loss", "expected"),
    [
        (loss("binary_cross_entropy", label_smoothing=0.1, positive_weights="balanced"),
         binary.binary_cross_entropy(
             LOGITS, YES, label_smoothing=0.1, positive_weights=jnp.asarray((20 - COUNTS) / COUNTS, jnp.float32))),
        (loss("focal", gamma=1, alpha=0.25), binary.binary_focal(LOGITS, YES, gamma=1.0, alpha=0.25)),
        (loss("hinge"), binary.binary_hinge(LOGITS, YES)),
        (loss("perceptron"), binary.binary_perceptron(LOGITS, YES)),
    ],
)  # fmt: skip
def test_losses_of_labels(chosen_loss, expected):
    np.testing.assert_allclose(chosen.of_labels(chosen_loss, CLASSES, COUNTS, 20)(LOGITS, YES), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("chosen_loss", "expected"),
    [
        (loss("mean_squared"), regression.mean_squared(LOGITS, 2 * LOGITS)),
        (loss("mean_absolute"), regression.mean_absolute(LOGITS, 2 * LOGITS)),
        (loss("huber", delta=0.3), regression.huber(LOGITS, 2 * LOGITS, delta=0.3)),
        (loss("binary_cross_entropy"), binary.binary_cross_entropy(LOGITS, 2 * LOGITS)),
    ],
)
def test_losses_of_values(chosen_loss, expected):
    np.testing.assert_allclose(chosen.of_values(chosen_loss)(LOGITS, 2 * LOGITS), expected, rtol=1e-6)


DICE, FOCAL = segmentation.dice(MAPS, MASK, smoothing=0.1), segmentation.focal(MAPS, MASK, class_weights=BALANCED)


@pytest.mark.parametrize(
    ("chosen_loss", "expected"),
    [
        (loss("cross_entropy", label_smoothing=0.1, class_weights="balanced"),
         segmentation.cross_entropy(MAPS, MASK, label_smoothing=0.1, class_weights=BALANCED)),
        (loss("dice", smoothing=0.1), DICE),
        (loss("focal", class_weights="balanced"), FOCAL),
        (loss("sum", of=[{"name": "dice", "smoothing": 0.1}, {"name": "focal", "class_weights": "balanced"}]),
         DICE + FOCAL),
        (loss("sum", of=[{"name": "dice", "smoothing": 0.1}, {"name": "focal", "class_weights": "balanced"}],
              weights=[2, 0.5]), 2 * DICE + 0.5 * FOCAL),
    ],
)  # fmt: skip
def test_losses_of_masks(chosen_loss, expected):
    np.testing.assert_allclose(chosen.of_masks(chosen_loss, CLASSES, COUNTS)(MAPS, MASK), expected, rtol=1e-6)


def test_every_loss_of_every_task_is_a_function_and_no_other():
    makers = {
        "classification": lambda loss: chosen.of_classes(loss, CLASSES, COUNTS),
        "multi_label": lambda loss: chosen.of_labels(loss, CLASSES, COUNTS, 20),
        "regression": chosen.of_values,
        "reconstruction": chosen.of_values,
        "segmentation": lambda loss: chosen.of_masks(loss, CLASSES, COUNTS),
        "perceptron": lambda loss: chosen.of_classes(loss, CLASSES, COUNTS),
    }
    assert set(makers) == set(LOSSES_OF_TASK)
    for task, names in LOSSES_OF_TASK.items():
        for name in names:
            if (task, name) == ("classification", "binary_cross_entropy"):
                continue  # of two classes
            assert callable(makers[task](loss(name, of=[{"name": "dice"}] * 2) if name == "sum" else loss(name)))
    for maker, name in zip(makers.values(), ("huber", "huber", "dice", "dice", "huber", "huber"), strict=True):
        with pytest.raises(TypeError, match=f"{name} is no loss of"):
            maker(loss(name))


def test_binary_cross_entropy_of_two_classes_is_their_cross_entropy():
    two, labels = LOGITS[:, :2], LABELS % 2
    plain = chosen.of_classes(loss("binary_cross_entropy", label_smoothing=0.2), ("no", "yes"), COUNTS[:2])
    expected = classification.cross_entropy(two, labels, label_smoothing=0.2)
    np.testing.assert_allclose(plain(two, labels), expected, rtol=1e-5)
    balanced = chosen.of_classes(loss("binary_cross_entropy", positive_weights="balanced"), ("no", "yes"), COUNTS[:2])
    expected = classification.cross_entropy(two, labels, class_weights=jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(balanced(two, labels), expected, rtol=1e-5)
    with pytest.raises(
        SpecError, match=r"^loss.name: binary_cross_entropy is of two classes, and there are 3; use cro"
    ):
        chosen.of_classes(loss("binary_cross_entropy"), CLASSES, COUNTS)


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "hinge", "perceptron"])
def test_one_score_beside_0_is_the_loss_of_yes_or_no(name):
    score, labels = LOGITS[:, :1], LABELS % 2
    of_two = chosen.of_classes(loss(name), ("no", "yes"), COUNTS[:2])(jnp.pad(score, ((0, 0), (1, 0))), labels)
    of_one = chosen.of_labels(loss(name.replace("cross", "binary_cross")), ("yes",), COUNTS[1:2], 9)
    np.testing.assert_allclose(of_two, of_one(score, labels[:, None]), rtol=1e-5, atol=1e-6)


def test_a_class_that_is_not_there_is_an_error_of_the_spec():
    with pytest.raises(SpecError, match="no class 'd'"):
        chosen.of_classes(loss("cross_entropy", class_weights={"d": 2}), CLASSES, COUNTS)


def test_penalties_are_times_their_factors_and_none_where_none_is_asked_for():
    params = {"kernel": jnp.array([[1.0, -2.0]]), "bias": jnp.array([9.0])}
    assert chosen.penalty(loss("huber"), params) == 0.0
    assert float(chosen.penalty(loss("huber", l1=0.1), params)) == pytest.approx(0.3)
    assert float(chosen.penalty(loss("huber", l1=0.1, l2=10), params)) == pytest.approx(0.3 + 25)
