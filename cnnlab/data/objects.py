"""How large the objects in the data are: by their boxes, else by the connected parts of their masks."""

from collections.abc import Iterator

import numpy as np

from cnnlab.data.dataset import Dataset
from cnnlab.spec.data import UNKNOWN


def object_sizes(dataset: Dataset, indices: np.ndarray) -> np.ndarray:
    """float64 [object, axis], in positions, of all objects of the examples; none where there is neither kind.

    Of masks each connected part (also over corners) of a class but the first, the background, is an object.
    """
    axes = dataset.x.ndim - 2
    if "boxes" in dataset.targets:
        boxes = dataset.targets["boxes"].values[indices]
        there = boxes[boxes[..., -1] >= 0].astype(np.float64)
        return there[:, axes : 2 * axes] - there[:, :axes]
    if "mask" not in dataset.targets:
        return np.zeros((0, axes))
    found = [size for i in indices for size in _parts(dataset.targets["mask"].values[i])]
    return np.array(found, np.float64).reshape(-1, axes)


def _parts(mask: np.ndarray) -> Iterator[tuple[int, ...]]:
    from scipy import ndimage

    for name in np.unique(mask):
        if name in (0, UNKNOWN):
            continue
        labelled = np.zeros(mask.shape, np.int32)
        ndimage.label(mask == name, np.ones((3,) * mask.ndim), output=labelled)
        yield from (tuple(side.stop - side.start for side in part) for part in ndimage.find_objects(labelled))
