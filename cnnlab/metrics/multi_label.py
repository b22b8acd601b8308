"""Figures of several labels an example, each there or not: per label, and over all of them.

0 / 0 counts as 0, as in `confusion` and as scikit-learn's ``zero_division=0``, and is listed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from cnnlab.errors import DataError
from cnnlab.metrics.confusion import precision_recall_f1


def multi_label_report(
    truth: Bool[np.ndarray, "example label"], predicted: Bool[np.ndarray, "example label"], labels: Sequence[str]
) -> dict[str, Any]:
    """ "subset_accuracy" (all labels right), "hamming_loss" (share of wrong ones), averages, a row per label.

    "macro" weighs labels alike, "weighted" by their examples, "micro" takes the sums first, "samples" weighs examples
    alike. "undefined" names labels that are never true or never predicted; "empty_examples" counts those without any
    label, true or predicted, whose figures in "samples" are 0. Raises DataError without examples.
    """
    if len(truth) == 0:
        raise DataError("there is no example", hint="there is nothing to measure")
    both = truth & predicted
    correct, called, support = (array.sum(0) for array in (both, predicted, truth))
    scores = precision_recall_f1(correct, called, support)
    by_example = precision_recall_f1(both.sum(1), predicted.sum(1), truth.sum(1))
    in_all = precision_recall_f1(correct.sum(), called.sum(), support.sum())
    rows = zip(labels, *(score.tolist() for score in scores.values()), support.tolist(), strict=True)
    names = ("label", *scores, "support")
    share = support / max(int(support.sum()), 1)
    return {
        "subset_accuracy": float((truth == predicted).all(1).mean()),
        "hamming_loss": float((truth != predicted).mean()),
        "macro": {name: float(score.mean()) for name, score in scores.items()},
        "micro": {name: float(score) for name, score in in_all.items()},
        "weighted": {name: float((score * share).sum()) for name, score in scores.items()},
        "samples": {name: float(score.mean()) for name, score in by_example.items()},
        "per_label": [dict(zip(names, row, strict=True)) for row in rows],
        "undefined": [name for name, *counts in zip(labels, called, support, strict=True) if 0 in counts],
        "empty_examples": int(((truth.sum(1) == 0) | (predicted.sum(1) == 0)).sum()),
    }
