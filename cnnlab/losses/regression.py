"""Losses of numbers: pure functions, one value per example, the mean over whatever it has; the caller reduces.

For vectors [batch, values] and for whole images [batch, *spatial, channel] alike.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float


def mean_squared(predicted: Float[Array, " batch *any"], target: Float[Array, " batch *any"]) -> Float[Array, " batch"]:
    """(predicted - target)^2."""
    return _mean(jnp.square(predicted - target))


def mean_absolute(
    predicted: Float[Array, " batch *any"], target: Float[Array, " batch *any"]
) -> Float[Array, " batch"]:
    """|predicted - target|; its slope at 0 is 0."""
    return _mean(absolute(predicted - target))


def huber(
    predicted: Float[Array, " batch *any"], target: Float[Array, " batch *any"], *, delta: float = 1.0
) -> Float[Array, " batch"]:
    """e^2 / 2 where |e| <= delta, and delta (|e| - delta / 2) beyond, with e = predicted - target (Huber 1964)."""
    error = jnp.abs(predicted - target)
    inside = jnp.minimum(error, delta)
    return _mean(inside**2 / 2 + delta * (error - inside))


def absolute(x: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """|x| with the slope 0 at 0, where JAX's own has 1."""
    return x * jax.lax.stop_gradient(jnp.sign(x))


def _mean(losses: Float[Array, " batch *any"]) -> Float[Array, " batch"]:
    return losses.reshape(len(losses), -1).mean(-1)
