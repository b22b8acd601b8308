"""Figures of a class per pixel, out of the confusion matrix over pixels: rows are true classes, columns predicted.

The matrix of each example is kept apart, so that examples can be drawn anew; their sum is that of the split.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64, Int

from cnnlab.errors import DataError
from cnnlab.metrics.agreement import Counts, accuracy
from cnnlab.metrics.undefined import mean_of_defined, plain, quotient
from cnnlab.spec.data import UNKNOWN


def intersection_over_union(counts: Counts) -> Float64[np.ndarray, "... class"]:
    """tp / (tp + fp + fn) of each class; undefined where it is neither there nor predicted."""
    return quotient(counts.correct, counts.called + counts.support - counts.correct)


def dice(counts: Counts) -> Float64[np.ndarray, "... class"]:
    """2 tp / (2 tp + fp + fn) of each class; undefined where it is neither there nor predicted."""
    return quotient(2 * counts.correct, counts.called + counts.support)


def segmentation_report(matrix: Int[np.ndarray, "classes classes"], classes: Sequence[str]) -> dict[str, Any]:
    """ "pixel_accuracy", "mean_iou", "mean_dice", a row per class, the matrix.

    A class without a pixel, true or predicted, has None for its figures, stands in "undefined" and is in no mean.
    Raises DataError where no pixel is left to count.
    """
    if matrix.sum() == 0:
        raise DataError("no pixel has a class", hint=f"all of them are {UNKNOWN}, which says nothing")
    counts = Counts.of(matrix)
    overlap, similarity = intersection_over_union(counts), dice(counts)
    rows = zip(classes, overlap, similarity, matrix.sum(1).tolist(), strict=True)
    return {
        "pixel_accuracy": plain(accuracy(counts)),
        "mean_iou": plain(mean_of_defined(overlap)),
        "mean_dice": plain(mean_of_defined(similarity)),
        "per_class": [
            {"class": name, "iou": plain(iou), "dice": plain(both), "pixels": pixels}
            for name, iou, both, pixels in rows
        ],
        "confusion_matrix": matrix.tolist(),
        "classes": list(classes),
        "undefined": [name for name, value in zip(classes, overlap, strict=True) if np.isnan(value)],
    }
