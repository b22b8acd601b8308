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
