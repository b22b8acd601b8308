"""What is normal: the classes that training and validation keep to; in the test split the others are anomalies."""

from collections.abc import Mapping

import numpy as np

from cnnlab.data.dataset import Dataset
from cnnlab.errors import DataError, SpecError, did_you_mean


def train_on(
    dataset: Dataset, splits: Mapping[str, np.ndarray], normal: tuple[str, ...], where: str = "task.normal"
) -> dict[str, np.ndarray]:
    """The splits, train and validation with the examples of these classes alone; the test split keeps all.

    `where` is the setting that says so. Raises SpecError for a class that is not there or where no other is, DataError
    where nothing is left.
    """
    known = dataset.classes
    if not known:
        raise SpecError("the data has no classes", where=where, hint="leave it out")
    for name in normal:
        if name not in known:
            raise SpecError(
                f"no class '{name}'", where=where, hint=did_you_mean(name, known) or f"there are {', '.join(known)}"
            )
    if len(normal) == len(known):
        raise SpecError(f"all {len(known)} classes, so that nothing is an anomaly", where=where, hint="leave some out")
    wanted = np.isin(dataset.y, [known.index(name) for name in normal])
    kept = {name: indices if name == "test" else indices[wanted[indices]] for name, indices in splits.items()}
    for name, indices in kept.items():
        if len(indices) == 0:
            raise DataError(f"no {name} example is of {', '.join(normal)}", where=where, hint="add examples or classes")
    return kept
