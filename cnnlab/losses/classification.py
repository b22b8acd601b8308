"""Losses of one label out of several: pure functions, one value per example; the caller reduces.

`class_weights` are factors by the example's own class, so a mean over examples stays a mean.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int


def cross_entropy(
    logits: Float[Array, "batch classes"],
    labels: Int[Array, " batch"],
    *,
    label_smoothing: float = 0.0,
    class_weights: Float[Array, " classes"] | None = None,
) -> Float[Array, " batch"]:
    """-sum_k q_k log softmax(logits)_k with q = (1 - s) one-hot + s / classes (Szegedy et al. 2016, section 7)."""
    log_probabilities = jax.nn.log_softmax(logits)
    losses = -_of_label(log_probabilities, labels)
    if label_smoothing:
        losses = (1 - label_smoothing) * losses - label_smoothing * log_probabilities.mean(-1)
    return weighted(losses, labels, class_weights)


def focal(
    logits: Float[Array, "batch classes"],
    labels: Int[Array, " batch"],
    *,
    gamma: float = 2.0,
    class_weights: Float[Array, " classes"] | None = None,
) -> Float[Array, " batch"]:
    """-(1 - p)^gamma log p with p = softmax(logits)_label (Lin et al. 2017, equation 5; alpha is `class_weights`)."""
    log_p = _of_label(jax.nn.log_softmax(logits), labels)
    own = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)
    # log(1 - p) as what the other classes have: 1 - p itself is 0 where p rounds to 1, and its root has no slope there.
    log_rest = jax.nn.logsumexp(logits, axis=-1, where=~own) - jax.nn.logsumexp(logits, axis=-1)
    return weighted(-jnp.exp(gamma * log_rest) * log_p, labels, class_weights)


def hinge(
    scores: Float[Array, "batch classes"],
    labels: Int[Array, " batch"],
    *,
    class_weights: Float[Array, " classes"] | None = None,
) -> Float[Array, " batch"]:
    """max(0, 1 + the best other score - the label's): Crammer and Singer (2001), section 3."""
    return weighted(jax.nn.relu(1 - _margin(scores, labels)), labels, class_weights)


def perceptron(scores: Float[Array, "batch classes"], labels: Int[Array, " batch"]) -> Float[Array, " batch"]:
    """max(0, the best other score - the label's), whose gradient step is the perceptron's (Rosenblatt 1958).

    A tie is an error, as in the rule, so that learning starts from weights of 0. The mistaken class is one: of equal
    scores the lowest.
    """
    margin = _margin(scores, labels)
    return jnp.where(margin <= 0, -margin, 0)  # a maximum would halve the slope at 0


def weighted(
    losses: Float[Array, " batch"], labels: Int[Array, " batch"], class_weights: Float[Array, " classes"] | None
) -> Float[Array, " batch"]:
    """The losses times the factors of their classes."""
    return losses if class_weights is None else losses * class_weights[labels]


def _of_label(values: Float[Array, "batch classes"], labels: Int[Array, " batch"]) -> Float[Array, " batch"]:
    return jnp.take_along_axis(values, labels[:, None], axis=-1)[:, 0]


def _margin(scores: Float[Array, "batch classes"], labels: Int[Array, " batch"]) -> Float[Array, " batch"]:
    """The label's score less the best other one. That is one class: the gradient of a maximum is shared by equals."""
    others = jnp.where(jax.nn.one_hot(labels, scores.shape[-1], dtype=bool), -jnp.inf, scores)
    return _of_label(scores, labels) - _of_label(scores, others.argmax(-1))
