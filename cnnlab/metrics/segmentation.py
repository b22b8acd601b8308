"""Figures of a class per pixel, out of the confusion matrix over pixels: rows are true classes, columns predicted.

The matrix of each example is kept apart, so that examples can be drawn anew; their sum is that of the split.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64, Int, Shaped

from cnnlab.errors import DataError
from cnnlab.metrics.agreement import Counts, accuracy
from cnnlab.metrics.undefined import mean_of_defined, plain, quotient

IGNORED = 255


def pixel_matrices(
    truth: Shaped[np.ndarray, " example *spatial"], predicted: Shaped[np.ndarray, " example *spatial"], classes: int
) -> Int[np.ndarray, "example classes classes"]:
    """The confusion matrix of each example, int64, without the pixels whose truth is `IGNORED`.

    Raises DataError for a class out of range.
    """
    counted = truth != IGNORED
    for name, given in (("mask", truth), ("prediction", predicted)):
        outside = counted & ((given < 0) | (given >= classes))
        if outside.any():
            place = tuple(np.argwhere(outside)[0].tolist())
            raise DataError(
                f"the {name} of example {place[0]} has the class {given[place]} at {list(place[1:])}; with {classes} "
                f"classes it must be from 0 to {classes - 1}"
            )
    example = np.arange(len(truth)).reshape(-1, *[1] * (truth.ndim - 1))
    cells = (example * classes + truth.astype(np.int64)) * classes + predicted.astype(np.int64)
    found = np.bincount(cells[counted], minlength=len(truth) * classes * classes)
    return found.reshape(len(truth), classes, classes).astype(np.int64, copy=False)


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
        raise DataError("no pixel has a class", hint=f"all of them are {IGNORED}, which says nothing")
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
