"""Figures of agreement between true and predicted classes beyond accuracy, out of the confusion matrix.

All are computed in float64 from `Counts`, over any axes in front, so that a bootstrap asks for a thousand at once.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from cnnlab.metrics.undefined import mean_of_defined, plain, plain_by_name, quotient


class Counts(NamedTuple):
    """Of each class, arrays [..., class]: how often it was right, how often predicted, how often true."""

    correct: np.ndarray
    called: np.ndarray
    support: np.ndarray

    @classmethod
    def of(cls, matrix: np.ndarray) -> "Counts":
        """Of matrices [..., true class, predicted class], as float64."""
        matrix = np.asarray(matrix, np.float64)
        return cls(np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(-2), matrix.sum(-1))

    @property
    def total(self) -> np.ndarray:
        return self.support.sum(-1)


def accuracy(counts: Counts) -> Float64[np.ndarray, "..."]:
    """The share of examples that is right."""
    return quotient(counts.correct.sum(-1), counts.total)


def balanced_accuracy(counts: Counts) -> Float64[np.ndarray, "..."]:
    """The mean recall of the classes that have examples (Brodersen et al. 2010)."""
    return mean_of_defined(quotient(counts.correct, counts.support))


def specificity(counts: Counts) -> Float64[np.ndarray, "... class"]:
    """Of each class, the share of other classes' examples that was not taken for it: tn / (tn + fp).

    Undefined where every example is of the class.
    """
    others = counts.total[..., None] - counts.support
    return quotient(others - (counts.called - counts.correct), others)


def matthews(counts: Counts) -> Float64[np.ndarray, "..."]:
    """Matthews' coefficient over all classes: (c s - sum_k p_k t_k) / sqrt((s^2 - sum p^2)(s^2 - sum t^2)).

    s examples, c of them right, t_k true and p_k predicted of class k (Gorodkin 2004, equation 8). Undefined where
    there is one true or one predicted class; scikit-learn says 0 there.
    """
    total, called, support = counts.total, counts.called, counts.support
    covariance = counts.correct.sum(-1) * total - (called * support).sum(-1)
    spread = (total**2 - (called**2).sum(-1)) * (total**2 - (support**2).sum(-1))
    return quotient(covariance, np.sqrt(spread))


def kappa(counts: Counts) -> Float64[np.ndarray, "..."]:
    """Cohen's kappa: (observed - expected) / (1 - expected) agreement (Cohen 1960).

    Undefined where one class is all that is true and predicted.
    """
    chance = (counts.called * counts.support).sum(-1)
    total = counts.total
    return quotient(counts.correct.sum(-1) * total - chance, total**2 - chance)


def agreement_report(matrix: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """ "balanced_accuracy", "matthews_correlation", "cohens_kappa", "specificity" by class: numbers, or None.

    "undefined" lists what is None, and the classes without examples, which balanced accuracy leaves out.
    """
    counts = Counts.of(matrix)
    figures = {
        "balanced_accuracy": plain(balanced_accuracy(counts)),
        "matthews_correlation": plain(matthews(counts)),
        "cohens_kappa": plain(kappa(counts)),
    }
    by_class = plain_by_name(classes, specificity(counts))
    return {
        **figures,
        "specificity": by_class,
        "undefined": [
            *(name for name, value in figures.items() if value is None),
            *(f"recall of {name}" for name, support in zip(classes, counts.support, strict=True) if support == 0),
            *(f"specificity of {name}" for name, value in by_class.items() if value is None),
        ],
    }
