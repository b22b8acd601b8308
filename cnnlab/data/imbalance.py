"""Classes of different sizes: how different, and what evens them out in the loss or in the order of examples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnlab.data.dataset import Dataset
from cnnlab.errors import SpecError, did_you_mean
from cnnlab.spec.balance import BALANCED

WORTH_A_NOTE = 3.0


def imbalance(dataset: Dataset, indices: np.ndarray) -> dict[str, Any] | None:
    """The ratio of the largest class to the smallest that has examples, with their names and numbers; None without
    classes."""
    if not dataset.classes:
        return None
    counts = np.bincount(dataset.y[indices], minlength=len(dataset.classes))
    largest, smallest = int(counts.argmax()), int(np.where(counts > 0, counts, counts.sum() + 1).argmin())
    found = {"ratio": float(counts[largest] / counts[smallest])}
    return found | {
        name: {"class": dataset.classes[i], "examples": int(counts[i])}
        for name, i in (("largest", largest), ("smallest", smallest))
    }


def imbalance_notes(dataset: Dataset, indices: np.ndarray) -> tuple[str, ...]:
    """A note where the largest class of the training examples is more than three times the smallest."""
    found = imbalance(dataset, indices)
    if found is None or found["ratio"] <= WORTH_A_NOTE:
        return ()
    large, small = (f"'{found[key]['class']}' ({found[key]['examples']:,})" for key in ("largest", "smallest"))
    return (f"the classes' imbalance in training is {found['ratio']:.3g}: {large} to {small}",)


def class_weights(setting: str | Mapping[str, float], classes: Sequence[str], counts: np.ndarray) -> np.ndarray:
    """What `loss.class_weights` is for each class, float32 [class], to multiply the losses of its examples.

    counts: the training examples of each class. `balanced` is n / (classes * count), King and Zeng (2001), with which
    every class adds the same to the sum and the mean weight of an example is 1; classes without any example do not
    count and have the weight 1, as those that a mapping does not name. Raises SpecError for a class that is not there.
    """
    if setting == BALANCED:
        there = counts > 0
        weights = counts.sum() / (there.sum() * np.where(there, counts, 1))
        return np.where(there, weights, 1.0).astype(np.float32)
    return _named(setting, classes, "loss.class_weights").astype(np.float32)


def positive_weights(setting: str | Mapping[str, float], names: Sequence[str], labels: np.ndarray) -> np.ndarray:
    """What `loss.positive_weights` is for each label, float32 [label], to multiply the losses where it holds.

    labels: uint8 [training example, label]. `balanced` is the noes over the yeses, 1 where there is no yes; labels
    that a mapping does not name have the weight 1. Raises SpecError for a label that is not there.
    """
    if setting == BALANCED:
        yes = labels.sum(0, dtype=np.int64)
        return np.where(yes > 0, (len(labels) - yes) / np.maximum(yes, 1), 1.0).astype(np.float32)
    return _named(setting, names, "loss.positive_weights").astype(np.float32)


def sampling_shares(setting: str | Mapping[str, float], classes: Sequence[str], counts: np.ndarray) -> np.ndarray:
    """The share of each class in what an epoch draws, float64 [class]: all that have training examples alike where
    `data.sampling` is balanced, else the classes' numbers of examples times their weights. Raises SpecError."""
    weights = (counts > 0).astype(float) if setting == BALANCED else counts * _named(setting, classes, "data.sampling")
    return weights / weights.sum()


def _named(setting: str | Mapping[str, float], classes: Sequence[str], where: str) -> np.ndarray:
    assert not isinstance(setting, str), "the spec has checked that"
    for name in setting:
        if name not in classes:
            hint = did_you_mean(name, list(classes)) or f"there are {', '.join(classes[:20]) or 'none'}"
            raise SpecError(f"no class '{name}'", where=where, hint=hint)
    return np.array([setting.get(name, 1.0) for name in classes])
