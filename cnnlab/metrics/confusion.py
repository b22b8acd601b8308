"""Classification figures, all of them out of the confusion matrix and the stored predictions.

With tp the diagonal, rows true and columns predicted: precision = tp / column sum, recall = tp / row sum,
f1 = 2 tp / (row sum + column sum). Macro averages weigh classes alike, weighted ones by their examples,
micro ones take the sums first. 0 / 0 counts as 0, as scikit-learn's ``zero_division=0``, and is listed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64, Int

from cnnlab.errors import DataError
from cnnlab.metrics.predictions import Predictions, csv_text

TOP_K = 5


def confusion_matrix(
    labels: Int[np.ndarray, " example"], predicted: Int[np.ndarray, " example"], classes: int
) -> Int[np.ndarray, "classes classes"]:
    """How often, as int64, each class (the row) was taken for each class (the column).

    The matrices of parts of the data add up to that of the whole. Raises DataError for an index out of range.
    """
    for name, indices in (("label", labels), ("prediction", predicted)):
        outside = (indices < 0) | (indices >= classes)
        if outside.any():
            example = int(outside.argmax())
            raise DataError(
                f"the {name} of example {example} is {indices[example]}; with {classes} classes it must be "
                f"from 0 to {classes - 1}"
            )
    cells = labels.astype(np.int64) * classes + predicted.astype(np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes).astype(np.int64, copy=False)


def classification_report(predictions: Predictions, classes: Sequence[str], split: str) -> dict[str, Any]:
    """The contents of metrics.json for one split, in plain Python types.

    Accuracy, precision, recall and F1 come from the matrix, the loss is the float64 mean of the stored
    float32 losses in nats, ``top_k`` counts ranks below k (k = 5, only where there are more than 5 classes).
    Classes never predicted or without example stand in ``undefined`` by name, see `undefined_notes`.
    Raises DataError without examples, or where a rank contradicts the predicted class.
    """
    if len(predictions) == 0:
        raise DataError(f"the split '{split}' has no example", hint="there is nothing to measure")
    contradicting = (predictions.rank == 0) != (predictions.predicted == predictions.labels)
    if contradicting.any():  # NaN scores do that, and would count as right in top_k
        example = int(contradicting.argmax())
        raise DataError(
            f"example {example} of the split '{split}' has rank {predictions.rank[example]}, label "
            f"{predictions.labels[example]} and prediction {predictions.predicted[example]}",
            hint="rank 0 must mean that the prediction is the label; are the scores finite?",
        )
    matrix = confusion_matrix(predictions.labels, predictions.predicted, len(classes))
    support, called = matrix.sum(axis=1), matrix.sum(axis=0)
    scores = precision_recall_f1(matrix.diagonal(), called, support)
    correct, n = matrix.trace(), matrix.sum()
    rows = zip(classes, *(scores[name].tolist() for name in scores), support.tolist(), strict=True)
    names = ("class", *scores, "support")
    return {
        "split": split,
        "n": int(n),
        "loss": float(predictions.loss.mean(dtype=np.float64)),
        "accuracy": float(correct / n),
        "top_k": {str(TOP_K): float((predictions.rank < TOP_K).mean())} if len(classes) > TOP_K else {},
        "macro": {name: float(score.mean()) for name, score in scores.items()},
        "micro": {name: float(score) for name, score in precision_recall_f1(correct, n, n).items()},
        "weighted": {name: float((score * support).sum() / n) for name, score in scores.items()},
        "per_class": [dict(zip(names, row, strict=True)) for row in rows],
        "confusion_matrix": matrix.tolist(),
        "classes": list(classes),
        "undefined": [name for name, *counts in zip(classes, called, support, strict=True) if 0 in counts],
    }


def undefined_notes(report: dict[str, Any]) -> list[str]:
    """A sentence for each class in ``undefined``: which of its figures count as 0, and why."""
    matrix = np.array(report["confusion_matrix"])
    notes = []
    for name, called, support in zip(report["classes"], matrix.sum(axis=0), matrix.sum(axis=1), strict=True):
        if called == 0 and support == 0:
            reason, figures = (
                "has no example in this split and was never predicted",
                "precision, recall and f1 count",
            )
        elif called == 0:
            reason, figures = "was never predicted", "precision counts"
        elif support == 0:
            reason, figures = "has no example in this split", "recall and f1 count"
        else:
            continue
        notes.append(f"class {name!r} {reason}: its {figures} as 0")
    return notes


def confusion_csv(report: dict[str, Any]) -> str:
    """The matrix with class names: a row per true class, a column per predicted class."""
    classes, matrix = report["classes"], report["confusion_matrix"]
    rows = ([name, *counts] for name, counts in zip(classes, matrix, strict=True))
    return csv_text([("true\\predicted", *classes), *rows])


def precision_recall_f1(correct: Any, called: Any, support: Any) -> dict[str, Float64[np.ndarray, "..."]]:
    """Counts, one per class or one in all, to the three figures; f1 = 2 tp / (2 tp + fp + fn)."""
    return {
        "precision": _ratio(correct, called),
        "recall": _ratio(correct, support),
        "f1": _ratio(2 * correct, called + support),
    }


def _ratio(numerator: Any, denominator: Any) -> Float64[np.ndarray, "..."]:
    return np.where(denominator == 0, 0.0, numerator / np.maximum(denominator, 1))
