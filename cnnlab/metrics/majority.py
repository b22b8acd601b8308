"""Where accuracy misleads: to say the most frequent class, whatever is asked, comes near to it."""

from typing import Any

from cnnlab.metrics.agreement import Counts, balanced_accuracy

NEAR = 0.8  # of the accuracy; a constant guess that reaches so much leaves little to the network
LOWER = 0.01  # as far as the balanced accuracy has to lie below


def constant_guess(report: dict[str, Any]) -> tuple[str, float] | None:
    """The most frequent class of the split and the accuracy of saying it always, where accuracy misleads, else None.

    report: what `classification_report` returns. Accuracy misleads where the guess reaches four fifths of it while
    the balanced accuracy, in which every class counts alike, is lower than it by more than 0.01.
    """
    counts = Counts.of(report["confusion_matrix"])
    guess = float(counts.support.max() / counts.total)
    if guess < NEAR * report["accuracy"] or balanced_accuracy(counts) >= report["accuracy"] - LOWER:
        return None
    return report["classes"][int(counts.support.argmax())], guess
