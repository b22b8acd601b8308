"""What the training split says of the targets: how often each name, which mean and deviation."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnlab.data.boxes import objects_per_class
from cnnlab.data.dataset import Dataset, Target


def describe_targets(dataset: Dataset, splits: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """For data.json: the names of each target, and of the training split counts by name (of boxes, and of
    the examples that have one), or mean and deviation."""
    train = splits["train"]
    return {
        kind: {"names": list(target.names), **_figures(kind, target, train)} for kind, target in dataset.targets.items()
    }


def _figures(kind: str, target: Target, train: np.ndarray) -> Mapping[str, Sequence[float]]:
    values = target.values[train]
    match kind:
        case "labels":
            return {"counts": values.sum(0, dtype=np.int64).tolist()}
        case "mask":
            counts = np.bincount(values.reshape(-1), minlength=256)
            return {"counts": counts[: len(target.names)].tolist()}
        case "values":
            mean, std = values.mean(0, dtype=np.float64), values.std(0, dtype=np.float64)
            return {"mean": mean.tolist(), "std": np.where(std > 0, std, 1).tolist()}
        case _:
            counts, examples = objects_per_class(target, train)
            return {"counts": counts, "examples": examples}
