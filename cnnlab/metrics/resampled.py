"""The figures of each task as statistics for the bootstrap: functions of how often each example was drawn.

What does not change between resamples, such as the order of scores, is worked out once.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped

from cnnlab.metrics import agreement, segmentation
from cnnlab.metrics.agreement import Counts
from cnnlab.metrics.bootstrap import Statistic
from cnnlab.metrics.calibration import BINS, bin_of
from cnnlab.metrics.confusion import precision_recall_f1
from cnnlab.metrics.reconstruction import psnr
from cnnlab.metrics.undefined import mean_of_defined, quotient

Weights = Float64[np.ndarray, "example resample"]


def mean(name: str, values: Shaped[np.ndarray, " example"]) -> Statistic:
    """The mean of a number that every example has, such as its loss."""
    each = values.astype(np.float64)
    return lambda weights: {name: each @ weights / len(each)}


def classification(
    labels: Int[np.ndarray, " example"], predicted: Int[np.ndarray, " example"], classes: int
) -> Statistic:
    """ "accuracy", "precision", "recall", "f1" (macro), "balanced_accuracy", "matthews_correlation", "cohens_kappa"."""
    right = labels == predicted

    def figures(weights: Weights) -> dict[str, np.ndarray]:
        counts = Counts(
            _by_group(weights[right], labels[right], classes),
            _by_group(weights, predicted, classes),
            _by_group(weights, labels, classes),
        )
        scores = precision_recall_f1(*counts)
        return {
            "accuracy": agreement.accuracy(counts),
            **{name: score.mean(-1) for name, score in scores.items()},
            "balanced_accuracy": agreement.balanced_accuracy(counts),
            "matthews_correlation": agreement.matthews(counts),
            "cohens_kappa": agreement.kappa(counts),
        }

    return figures


def ranking(truth: Bool[np.ndarray, "example name"], scores: Shaped[np.ndarray, "example name"]) -> Statistic:
    """ "roc_auc" and "average_precision": the mean over the names that have one in the resample."""
    ranked = [_Ranked(truth[:, k], scores[:, k]) for k in range(truth.shape[1])]

    def figures(weights: Weights) -> dict[str, np.ndarray]:
        areas = np.stack([one.areas(weights) for one in ranked], axis=-1)
        return {"roc_auc": mean_of_defined(areas[0]), "average_precision": mean_of_defined(areas[1])}

    return figures


class _Ranked:
    """Examples of one name from the highest score down, and where each yes stands among them."""

    def __init__(self, yes: Bool[np.ndarray, " example"], scores: Shaped[np.ndarray, " example"]):
        self.order = np.argsort(-scores, kind="stable")
        falling = -scores[self.order]
        at = np.flatnonzero(yes[self.order])
        self.yes = self.order[at]
        # The run of equal scores that holds each yes, in places of all examples and of the yeses.
        first = np.searchsorted(falling, falling[at], side="left")
        end = np.searchsorted(falling, falling[at], side="right")
        self.first_yes, self.end_yes = np.searchsorted(at, first), np.searchsorted(at, end)
        self.edges = np.unique(np.concatenate([[0, len(yes)], first, end]))  # sums are needed there alone
        self.first, self.end = np.searchsorted(self.edges, first), np.searchsorted(self.edges, end)

    def areas(self, weights: Weights) -> Float64[np.ndarray, "area=2 resample"]:
        """ROC AUC as the weighted rank statistic, equals counting half, and the average precision."""
        each = weights[self.yes]
        above = _sums_before(np.add.reduceat(weights[self.order], self.edges[:-1], axis=0))
        hits = _sums_before(each)
        all_hits = hits[-1]
        misses = above[-1] - all_hits
        called, right = above[self.end], hits[self.end_yes]
        alarms_before, alarms = above[self.first] - hits[self.first_yes], called - right
        won = (each * (misses - (alarms_before + alarms) / 2)).sum(0)
        precision = (each * right / np.maximum(called, 1)).sum(0)
        return np.stack([quotient(won, all_hits * misses), quotient(precision, all_hits)])


def calibration(
    confidence: Shaped[np.ndarray, " example"], right: Bool[np.ndarray, " example"], bins: int = BINS
) -> Statistic:
    """ "expected_calibration_error" of the probability of the predicted class."""
    gaps, which = right - confidence.astype(np.float64), bin_of(confidence, bins)

    def figures(weights: Weights) -> dict[str, np.ndarray]:
        by_bin = _by_group(weights * gaps[:, None], which, bins)
        return {"expected_calibration_error": np.abs(by_bin).sum(-1) / len(gaps)}

    return figures


def regression(
    truth: Shaped[np.ndarray, "example target"], predicted: Shaped[np.ndarray, "example target"]
) -> Statistic:
    """ "mse", "rmse", "mae", "r2": means over targets, r2 over those that vary in the resample."""
    y = truth.astype(np.float64)
    error, centred = predicted.astype(np.float64) - y, y - y.mean(0)

    def figures(weights: Weights) -> dict[str, np.ndarray]:
        squared, absolute = (_sums(values, weights) for values in (error**2, np.abs(error)))
        around = _sums(centred**2, weights)
        spread = around - _sums(centred, weights) ** 2 / len(y)
        r2 = 1 - quotient(squared, np.where(spread <= 1e-12 * around, 0, spread))  # what rounding leaves is no spread
        return {
            "mse": squared.mean(-1) / len(y),
            "rmse": np.sqrt(squared / len(y)).mean(-1),
            "mae": absolute.mean(-1) / len(y),
            "r2": mean_of_defined(r2),
        }

    return figures


def multi_label(truth: Bool[np.ndarray, "example label"], predicted: Bool[np.ndarray, "example label"]) -> Statistic:
    """ "subset_accuracy", "hamming_loss", and "precision", "recall", "f1" (macro)."""
    both, wrong = truth & predicted, truth != predicted

    def figures(weights: Weights) -> dict[str, np.ndarray]:
        scores = precision_recall_f1(*(_sums(array, weights) for array in (both, predicted, truth)))
        return {
            "subset_accuracy": _sums(~wrong.any(1), weights) / len(truth),
            "hamming_loss": _sums(wrong.mean(1), weights) / len(truth),
            **{name: score.mean(-1) for name, score in scores.items()},
        }

    return figures


def masks(matrices: Int[np.ndarray, "example classes classes"]) -> Statistic:
    """ "pixel_accuracy", "mean_iou", "mean_dice", whole examples drawn, not pixels: neighbours are not independent."""
    each = Counts.of(matrices)

    def figures(weights: Weights) -> dict[str, np.ndarray]:
        counts = Counts(*(_sums(part, weights) for part in each))
        return {
            "pixel_accuracy": agreement.accuracy(counts),
            "mean_iou": mean_of_defined(segmentation.intersection_over_union(counts)),
            "mean_dice": mean_of_defined(segmentation.dice(counts)),
        }

    return figures


def reconstruction(
    mse: Shaped[np.ndarray, " example"], peak: float, corrupted_mse: Shaped[np.ndarray, " example"] | None = None
) -> Statistic:
    """ "mse", "psnr" of it, and "corrupted_psnr" where what the network was given has an error."""
    each = mse.astype(np.float64)
    before = None if corrupted_mse is None else corrupted_mse.astype(np.float64)

    def figures(weights: Weights) -> dict[str, np.ndarray]:
        mean = each @ weights / len(each)
        found = {"mse": mean, "psnr": psnr(mean, peak)}
        return found if before is None else {**found, "corrupted_psnr": psnr(before @ weights / len(each), peak)}

    return figures


def _sums(values: Shaped[np.ndarray, " example *names"], weights: Weights) -> Float64[np.ndarray, " resample *names"]:
    """The weighted sums over examples."""
    return (values.T.astype(np.float64) @ weights).T


def _by_group(
    weights: Weights, groups: Int[np.ndarray, " example"], count: int
) -> Float64[np.ndarray, "resample group"]:
    """The weights of each group's examples, added up."""
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(count + 1))
    there = np.flatnonzero(np.diff(starts))
    found = np.zeros((count, weights.shape[1]))
    if len(there):
        found[there] = np.add.reduceat(weights[order], starts[there], axis=0)
    return found.T


def _sums_before(weights: Weights) -> Float64[np.ndarray, "place resample"]:
    """How much stands before each place, and at the end how much there is."""
    found = np.zeros((len(weights) + 1, weights.shape[1]))
    np.cumsum(weights, axis=0, out=found[1:])
    return found
