"""Penalties on weights, which the caller multiplies and adds to the mean loss.

Weights are the leaves with more than one axis, as for weight decay; biases, scales and other vectors stay free
(Goodfellow, Bengio and Courville 2016, section 7.1).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from cnnlab.losses.regression import absolute


def l1(params: Any) -> Float[Array, ""]:
    """The sum of |w|; its slope at 0 is 0."""
    return sum((absolute(w).sum() for w in _weights(params)), jnp.zeros(()))


def l2(params: Any) -> Float[Array, ""]:
    """Half the sum of w^2, whose gradient is w: what `weight_decay` adds to it where it is not decoupled."""
    return sum((jnp.square(w).sum() for w in _weights(params)), jnp.zeros(())) / 2


def _weights(params: Any) -> list[Array]:
    return [leaf for leaf in jax.tree.leaves(params) if leaf.ndim > 1]
