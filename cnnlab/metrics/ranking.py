"""How well scores put what is true before what is not: ROC and precision-recall curves and the areas under them.

Each class against the rest, or each label by itself: truth [example, name] of True and False, scores likewise.
Examples of equal score are one step of a curve.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped

from cnnlab.metrics.undefined import mean_of_defined, plain, plain_by_name


@dataclass(frozen=True, eq=False)
class Curve:
    """The steps of one curve, from the highest threshold to the lowest; arrays [step], float64."""

    x: np.ndarray
    y: np.ndarray
    thresholds: np.ndarray


def one_against_rest(labels: Int[np.ndarray, " example"], classes: int) -> Bool[np.ndarray, "example class"]:
    """The truth of each class."""
    return labels[:, None] == np.arange(classes)


def roc_curve(yes: Bool[np.ndarray, " example"], scores: Shaped[np.ndarray, " example"]) -> Curve | None:
    """False positive rate (x) and true positive rate (y) from (0, 0), threshold infinity, to (1, 1).

    None where all examples are yes, or none is.
    """
    if yes.all() or not yes.any():
        return None
    hits, alarms, thresholds = _steps(yes, scores)
    start = np.zeros(1)
    return Curve(
        np.concatenate([start, alarms / alarms[-1]]),
        np.concatenate([start, hits / hits[-1]]),
        np.concatenate([[np.inf], thresholds]),
    )


def precision_recall_curve(yes: Bool[np.ndarray, " example"], scores: Shaped[np.ndarray, " example"]) -> Curve | None:
    """Recall (x) and precision (y), from the highest threshold to the lowest; None where no example is yes."""
    if not yes.any():
        return None
    hits, alarms, thresholds = _steps(yes, scores)
    return Curve(hits / hits[-1], hits / (hits + alarms), thresholds)


def roc_auc(yes: Bool[np.ndarray, " example"], scores: Shaped[np.ndarray, " example"]) -> float | None:
    """The area under the ROC curve: the probability that a yes scores above a no, equals counting half."""
    curve = roc_curve(yes, scores)
    return None if curve is None else float((np.diff(curve.x) * (curve.y[1:] + curve.y[:-1]) / 2).sum())


def average_precision(yes: Bool[np.ndarray, " example"], scores: Shaped[np.ndarray, " example"]) -> float | None:
    """The mean precision over recall, sum_n (R_n - R_(n-1)) P_n, without interpolation."""
    curve = precision_recall_curve(yes, scores)
    return None if curve is None else float((np.diff(curve.x, prepend=0) * curve.y).sum())


def ranking_report(
    truth: Bool[np.ndarray, "example name"], scores: Shaped[np.ndarray, "example name"], names: Sequence[str]
) -> dict[str, Any]:
    """ "roc_auc" and "average_precision", each {"macro": number, "per_class": {name: number}}, or None.

    Macro is the mean over the names that have one; the others stand in "undefined".
    """
    report: dict[str, Any] = {"undefined": []}
    for figure, area in (("roc_auc", roc_auc), ("average_precision", average_precision)):
        areas = [area(truth[:, k], scores[:, k]) for k in range(len(names))]
        values = np.array([np.nan if value is None else value for value in areas])
        report[figure] = {"macro": plain(mean_of_defined(values)), "per_class": plain_by_name(names, values)}
        report["undefined"] += [
            f"{figure} of {name}" for name, value in zip(names, areas, strict=True) if value is None
        ]
    return report


def _steps(
    yes: Bool[np.ndarray, " example"], scores: Shaped[np.ndarray, " example"]
) -> tuple[Float64[np.ndarray, " step"], Float64[np.ndarray, " step"], np.ndarray]:
    """True and false positives at each distinct score, and the scores, downwards."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))  # of each run of equals
    hits = np.cumsum(yes[order], dtype=np.float64)[last]
    return hits, last + 1 - hits, ordered[last].astype(np.float64)
