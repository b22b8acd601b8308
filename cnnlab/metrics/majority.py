"""Where accuracy misleads: to say the most frequent class, whatever is asked, comes near to it."""

from typing import Any

import numpy as np

NEAR = 0.8  # of the accuracy; a constant guess that reaches so much leaves little to the network
LOWER = 0.01  # as far as the balanced accuracy has to lie below


def constant_guess(report: dict[str, Any]) -> tuple[str, float] | None:
    """The most frequent class of the split and the accuracy of saying it always, where accuracy misleads, else None.

    report: what `classification_report` returns. Accuracy misleads where the guess reaches four fifths of it while
    the balanced accuracy, in which every class counts alike, is lower than it by more than 0.01.
    """
    support = np.array(report["confusion_matrix"]).sum(1)
    guess = float(support.max() / support.sum())
    if guess < NEAR * report["accuracy"] or balanced_accuracy(report) >= report["accuracy"] - LOWER:
        return None
    return report["classes"][int(support.argmax())], guess


def balanced_accuracy(report: dict[str, Any]) -> float:
    """The mean recall of the classes that have examples (Brodersen et al. 2010)."""
    matrix = np.array(report["confusion_matrix"])
    support = matrix.sum(1)
    return float((matrix.diagonal()[support > 0] / support[support > 0]).mean())
