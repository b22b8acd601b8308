"""Factors of classes and labels, out of what a spec says and the examples of training."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int

from cnnlab.errors import SpecError, did_you_mean

Factors = Literal["balanced"] | Mapping[str, float] | None


def class_weights(
    factors: Factors, classes: Sequence[str], counts: Int[np.ndarray, " classes"]
) -> Float32[np.ndarray, " classes"] | None:
    """A factor for each class; "balanced" gives n / (classes n_k), so that all weigh alike and their mean is 1.

    `counts` are the training examples (or pixels) of each class; one without any keeps 1. Raises SpecError for a
    name that is no class.
    """
    balanced = counts.sum() / (max(len(classes), 1) * np.maximum(counts, 1))
    return _factors(factors, classes, np.where(counts > 0, balanced, 1), "loss.class_weights", "class")


def positive_weights(
    factors: Factors, labels: Sequence[str], counts: Int[np.ndarray, " labels"], examples: int
) -> Float32[np.ndarray, " labels"] | None:
    """A factor for the yes of each label; "balanced" gives noes over yeses, so that both weigh alike.

    `counts` are the yeses of each label among so many training `examples`; a label without yes, or without no, keeps
    1. Raises SpecError for a name that is no label.
    """
    balanced = (examples - counts) / np.maximum(counts, 1)
    return _factors(
        factors, labels, np.where((counts > 0) & (counts < examples), balanced, 1), "loss.positive_weights", "label"
    )


def _factors(
    factors: Factors, names: Sequence[str], balanced: np.ndarray, where: str, what: str
) -> Float32[np.ndarray, " names"] | None:
    if factors is None:
        return None
    if factors == "balanced":
        if len(balanced) != len(names):
            raise ValueError(f"{len(balanced)} counts for {len(names)} names")
        return balanced.astype(np.float32)
    for name in factors:
        if name not in names:
            few = f"there are {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}"
            raise SpecError(f"no {what} '{name}'", where=where, hint=did_you_mean(name, tuple(names)) or few)
    return np.array([factors.get(name, 1.0) for name in names], np.float32)
