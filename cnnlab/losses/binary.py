"""Losses of yes or no, for each of several names at once: one value per example, the mean over its names.

`labels` are 1 and 0; the arrays are [batch, names], or of any shape after the batch. Pure; the caller reduces.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Num


def binary_cross_entropy(
    logits: Float[Array, " batch *names"],
    labels: Num[Array, " batch *names"],
    *,
    label_smoothing: float = 0.0,
    positive_weights: Float[Array, " last"] | None = None,
) -> Float[Array, " batch"]:
    """-w y log p - (1 - y) log(1 - p) with p = sigmoid(logits), and labels y between 0 and 1 too.

    `positive_weights` w are factors on the yes of each name, along the last axis. Smoothing draws y to a half:
    (1 - s) y + s / 2.
    """
    y = labels * (1 - label_smoothing) + label_smoothing / 2
    yes, no = -y * jax.nn.log_sigmoid(logits), -(1 - y) * jax.nn.log_sigmoid(-logits)
    return _mean(yes * (1.0 if positive_weights is None else positive_weights) + no)


def binary_focal(
    logits: Float[Array, " batch *names"],
    labels: Num[Array, " batch *names"],
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
) -> Float[Array, " batch"]:
    """-a (1 - p)^gamma log p with p the probability of what is true (Lin et al. 2017, equation 5).

    a is `alpha` for yes and 1 - alpha for no; without alpha it is 1.
    """
    signed = _signs(labels) * logits
    losses = -jnp.exp(gamma * jax.nn.log_sigmoid(-signed)) * jax.nn.log_sigmoid(signed)
    return _mean(losses if alpha is None else losses * jnp.where(labels > 0, alpha, 1 - alpha))


def binary_hinge(scores: Float[Array, " batch *names"], labels: Num[Array, " batch *names"]) -> Float[Array, " batch"]:
    """max(0, 1 - t f) with t = 1 for yes and -1 for no (Cortes and Vapnik 1995, with the slack as the loss)."""
    return _mean(jax.nn.relu(1 - _signs(labels) * scores))


def binary_perceptron(
    scores: Float[Array, " batch *names"], labels: Num[Array, " batch *names"]
) -> Float[Array, " batch"]:
    """max(0, -t f) with t = 1 for yes and -1 for no, whose gradient step is the perceptron's (Rosenblatt 1958).

    f = 0 is an error, as in the rule, so that learning starts from weights of 0.
    """
    margin = _signs(labels) * scores
    return _mean(jnp.where(margin <= 0, -margin, 0))


def _signs(labels: Num[Array, " batch *names"]) -> Float[Array, " batch *names"]:
    return jnp.where(labels > 0, 1.0, -1.0)


def _mean(losses: Float[Array, " batch *names"]) -> Float[Array, " batch"]:
    return losses.reshape(len(losses), -1).mean(-1)
