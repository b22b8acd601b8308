"""Some of a source's examples, or of its classes, alone."""

from dataclasses import replace

import numpy as np

from cnnlab.data.dataset import Dataset
from cnnlab.errors import DataError, did_you_mean


def take(dataset: Dataset, kept: np.ndarray) -> Dataset:
    """The examples at the sorted indices `kept`, under the same classes."""
    there = np.zeros(len(dataset.y), bool)
    there[kept] = True
    place = np.cumsum(there) - 1
    targets = {name: replace(target, values=target.values[kept]) for name, target in dataset.targets.items()}
    return replace(
        dataset,
        x=dataset.x[kept] if isinstance(dataset.x, np.ndarray) else dataset.x.take(kept),
        y=dataset.y[kept],
        files=dataset.files and tuple(dataset.files[i] for i in kept),
        given={split: place[indices[there[indices]]] for split, indices in dataset.given.items()},
        groups=dataset.groups and tuple(dataset.groups[i] for i in kept),
        digests=tuple(dataset.digests[i] for i in kept),
        targets=targets,
    )


def only_classes(dataset: Dataset, names: tuple[str, ...], where: str) -> Dataset:
    """The examples of these classes, which are numbered in this order. Raises DataError for one that is not there."""
    if not dataset.classes:
        hint = "leave data.classes out"
        raise DataError("data.classes: the examples are not of one class each", where=where, hint=hint)
    for name in names:
        if name not in dataset.classes:
            hint = did_you_mean(name, dataset.classes) or f"there are {', '.join(dataset.classes)}"
            raise DataError(f"data.classes: no class '{name}'", where=where, hint=hint)
    label = np.full(len(dataset.classes), -1, np.int32)
    label[[dataset.classes.index(name) for name in names]] = np.arange(len(names))
    y = label[dataset.y]
    return take(replace(dataset, y=y, classes=names), np.flatnonzero(y >= 0))
