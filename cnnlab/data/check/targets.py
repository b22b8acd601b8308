"""What is wrong with what there is to learn: labels, values, masks, boxes."""

from collections.abc import Iterator

import numpy as np

from cnnlab.data.check.findings import Finding
from cnnlab.data.dataset import Dataset, Target
from cnnlab.spec.data import UNKNOWN


def wrong_targets(dataset: Dataset, size: tuple[int, ...]) -> Iterator[Finding]:
    """Every example whose targets cannot be, of images of this `size`."""
    for name, target in dataset.targets.items():
        if len(target.values) != len(dataset.y):
            yield Finding(
                "target", what=f"{len(dataset.y):,} examples, and {len(target.values):,} of the target {name}"
            )
        elif name == "mask":
            yield from _masks(dataset, target, size)
        elif name == "boxes":
            yield from _boxes(dataset, target, size)
        elif name == "labels":
            for i in np.flatnonzero((target.values > 1).any(1)).tolist():
                column = int(np.argmax(target.values[i] > 1))
                words = f"the label '{target.names[column]}' is {target.values[i, column]}, and neither 0 nor 1"
                yield Finding("label_range", dataset.name(i), what=words)
        else:
            for i in np.flatnonzero(~np.isfinite(target.values).reshape(len(target.values), -1).all(1)).tolist():
                yield Finding("not_finite", dataset.name(i), what=f"a value of the target {name} is not finite")


def _masks(dataset: Dataset, target: Target, size: tuple[int, ...]) -> Iterator[Finding]:
    if target.values.shape[1:] != size:
        shapes = [" x ".join(map(str, shape)) for shape in (target.values.shape[1:], size)]
        yield Finding("mask_size", what=f"masks are {shapes[0]}, and images {shapes[1]}")
    classes = len(target.names)
    for i, mask in enumerate(target.values):
        strange = [number for number in np.unique(mask).tolist() if number >= classes and number != UNKNOWN]
        if strange:
            words = f"the mask holds {strange[0]}, and classes go from 0 to {classes - 1}"
            yield Finding("mask_id", dataset.name(i), what=words)


def _boxes(dataset: Dataset, target: Target, size: tuple[int, ...]) -> Iterator[Finding]:
    axes = len(size)
    for i, boxes in enumerate(target.values):
        for box in boxes[~(boxes == -1).all(1)]:
            low, high, label = box[:axes], box[axes:-1], box[-1]
            name, shown = dataset.name(i), f"[{', '.join(f'{edge:g}' for edge in box[:-1])}]"
            if not np.isfinite(box).all():
                yield Finding("not_finite", name, what=f"the box {shown} of class {label:g}")
                continue
            if (high <= low).any():
                yield Finding("box_empty", name, what=f"the box {shown} has no area")
            elif (low < 0).any() or (high > np.array(size)).any():
                words = f"the box {shown} is not within {' x '.join(map(str, size))}"
                yield Finding("box_outside", name, what=words)
            if label not in range(len(target.names)):
                words = f"the box {shown} is of class {label:g}, and classes go from 0 to {len(target.names) - 1}"
                yield Finding("box_class", name, what=words)
