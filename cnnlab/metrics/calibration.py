"""Whether probabilities mean what they say: the log loss, reliability by bins, the expected calibration error."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped

from cnnlab.metrics.undefined import quotient

BINS = 15  # as Guo et al. have it


@dataclass(frozen=True, eq=False)
class Reliability:
    """Bins of confidence (low, high], the first with its 0: arrays [bin], NaN where a bin has no example."""

    edges: Float64[np.ndarray, " edge"]
    counts: Int[np.ndarray, " bin"]
    confidence: Float64[np.ndarray, " bin"]
    accuracy: Float64[np.ndarray, " bin"]

    @property
    def error(self) -> float:
        """The expected calibration error: sum_b n_b / n |accuracy_b - confidence_b| (Guo et al. 2017, equation 3)."""
        gaps = np.where(self.counts > 0, np.abs(self.accuracy - self.confidence), 0)
        return float((self.counts * gaps).sum() / self.counts.sum())


def reliability(
    confidence: Shaped[np.ndarray, " example"], right: Bool[np.ndarray, " example"], bins: int = BINS
) -> Reliability:
    """How often predictions of each confidence from 0 to 1 are right, over bins of equal width."""
    which = bin_of(confidence, bins)
    counts = np.bincount(which, minlength=bins)
    said = np.bincount(which, weights=confidence.astype(np.float64), minlength=bins)
    true = np.bincount(which, weights=right, minlength=bins)
    return Reliability(np.linspace(0, 1, bins + 1), counts, quotient(said, counts), quotient(true, counts))


def bin_of(confidence: Shaped[np.ndarray, " example"], bins: int = BINS) -> Int[np.ndarray, " example"]:
    """The bin of each confidence; one on an edge belongs below it."""
    edges = np.linspace(0, 1, bins + 1)
    return np.clip(np.searchsorted(edges, confidence.astype(np.float64), side="left") - 1, 0, bins - 1)


def log_losses(
    probabilities: Shaped[np.ndarray, "example class"], labels: Int[np.ndarray, " example"]
) -> Float64[np.ndarray, " example"]:
    """-log of the true class's probability, example by example, in nats; their mean is the log loss.

    A probability counts as no less than the rounding error of its own type, as scikit-learn has it: one of 0 costs
    36 nats in float64, not infinitely many.
    """
    least = float(np.finfo(probabilities.dtype).eps)
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.clip(of_label, least, 1 - least))
