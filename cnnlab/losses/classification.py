"""Losses of classification: pure functions, one value per example; the caller reduces."""

import jax
from jax import Array
from jaxtyping import Float, Int


def cross_entropy(
    logits: Float[Array, "batch classes"], labels: Int[Array, " batch"], *, label_smoothing: float = 0.0
) -> Float[Array, " batch"]:
    """-sum_k q_k log softmax(logits)_k with q = (1 - s) one-hot + s / classes (Szegedy et al. 2016, section 7)."""
    log_probabilities = jax.nn.log_softmax(logits)
    of_label = jax.numpy.take_along_axis(log_probabilities, labels[:, None], axis=-1)[:, 0]
    if label_smoothing == 0:
        return -of_label
    return -(1 - label_smoothing) * of_label - label_smoothing * log_probabilities.mean(-1)
