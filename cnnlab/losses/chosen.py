"""What a spec's `loss` names, as a function of the network's output and the target: [batch, ...] -> [batch].

What does not fit the task is refused before (`spec.losses.misfits`); here it is a bug.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from cnnlab.errors import SpecError
from cnnlab.losses import binary, classification, penalties, regression, segmentation
from cnnlab.losses.class_weights import Factors, class_weights, positive_weights
from cnnlab.spec import losses as spec

PerExample = Callable[[Array, Array], Array]


def of_classes(loss: spec.Loss, classes: Sequence[str], counts: np.ndarray) -> PerExample:
    """Of logits [batch, classes] and labels [batch]; `counts` are the training examples of each class.

    Raises SpecError where weights name what is no class, and for binary cross-entropy of any but two.
    """
    if isinstance(loss, spec.BinaryCrossEntropy):
        return _of_two(loss, classes, counts)
    weights = _weights_of(loss, classes, counts)
    match loss:
        case spec.CrossEntropy():
            smoothing = loss.label_smoothing
            return partial(classification.cross_entropy, label_smoothing=smoothing, class_weights=weights)
        case spec.Focal():
            return partial(classification.focal, gamma=loss.gamma, class_weights=weights)
        case spec.Hinge():
            return partial(classification.hinge, class_weights=weights)
        case spec.Perceptron():
            return classification.perceptron
    raise _no_loss_of(loss, "classes")


def _of_two(loss: spec.BinaryCrossEntropy, classes: Sequence[str], counts: np.ndarray) -> PerExample:
    """Of the second of two classes, by the difference of their logits."""
    if len(classes) != 2:
        message = f"binary_cross_entropy is of two classes, and there are {len(classes)}"
        raise SpecError(message, where="loss.name", hint="use cross_entropy")
    each = of_labels(loss, classes[1:], counts[1:], int(counts.sum()))
    return lambda logits, labels: each(logits[:, 1:] - logits[:, :1], labels[:, None])


def of_labels(loss: spec.Loss, labels: Sequence[str], counts: np.ndarray, examples: int) -> PerExample:
    """Of logits and of 1 and 0, both [batch, labels]; `counts` are the yeses of each among so many `examples`.

    Raises SpecError where `positive_weights` name what is no label.
    """
    match loss:
        case spec.BinaryCrossEntropy():
            weights = _placed(positive_weights(loss.positive_weights, labels, counts, examples))
            smoothing = loss.label_smoothing
            return partial(binary.binary_cross_entropy, label_smoothing=smoothing, positive_weights=weights)
        case spec.Focal():
            return partial(binary.binary_focal, gamma=loss.gamma, alpha=loss.alpha)
        case spec.Hinge():
            return binary.binary_hinge
        case spec.Perceptron():
            return binary.binary_perceptron
    raise _no_loss_of(loss, "labels")


def of_values(loss: spec.Loss) -> PerExample:
    """Of predicted and true numbers of one shape [batch, ...]; binary cross-entropy takes logits and 0 to 1."""
    match loss:
        case spec.MeanSquared():
            return regression.mean_squared
        case spec.MeanAbsolute():
            return regression.mean_absolute
        case spec.Huber():
            return partial(regression.huber, delta=loss.delta)
        case spec.BinaryCrossEntropy():
            return binary.binary_cross_entropy
    raise _no_loss_of(loss, "values")


def of_masks(loss: spec.Loss, classes: Sequence[str], counts: np.ndarray) -> PerExample:
    """Of logits [batch, *spatial, class] and a mask [batch, *spatial]; `counts` are the training pixels of each class.

    Raises SpecError where `class_weights` name what is no class.
    """
    match loss:
        case spec.CrossEntropy():
            return partial(
                segmentation.cross_entropy,
                label_smoothing=loss.label_smoothing,
                class_weights=_weights_of(loss, classes, counts),
            )
        case spec.Focal():
            return partial(segmentation.focal, gamma=loss.gamma, class_weights=_weights_of(loss, classes, counts))
        case spec.Dice():
            return partial(segmentation.dice, smoothing=loss.smoothing)
        case spec.Sum():
            parts = [of_masks(part, classes, counts) for part in loss.of]
            weights = loss.weights or (1.0,) * len(parts)
            return lambda logits, mask: sum(
                (weight * part(logits, mask) for weight, part in zip(weights, parts, strict=True)),
                jnp.zeros(len(logits)),
            )
    raise _no_loss_of(loss, "masks")


def penalty(loss: spec.Loss, params: Any) -> Array | float:
    """What the spec's `l1` and `l2` add to the mean loss; 0.0 where it has neither."""
    found: Array | float = 0.0
    if loss.l1:
        found = found + loss.l1 * penalties.l1(params)
    if loss.l2:
        found = found + loss.l2 * penalties.l2(params)
    return found


def _weights_of(loss: spec.Loss, classes: Sequence[str], counts: np.ndarray) -> Array | None:
    factors: Factors = getattr(loss, "class_weights", None)
    return _placed(class_weights(factors, classes, counts))


def _placed(weights: np.ndarray | None) -> Array | None:
    return None if weights is None else jnp.asarray(weights)


def _no_loss_of(loss: spec.Loss, what: str) -> TypeError:
    return TypeError(f"{loss.name} is no loss of {what}")
