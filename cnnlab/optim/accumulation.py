"""Gradients of several batches as one.

Optax's MultiSteps gives each batch the same weight; here each example has it, so that the padded batch at the end of
an epoch counts for what is in it, and n batches of b examples are one of n b.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Int


class Gathered(NamedTuple):
    """The sum of the gradients of `examples` examples since the last update."""

    gradient: Any
    examples: Array


def nothing(params: Any) -> Gathered:
    """Before the first batch, as NumPy arrays."""
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), params)
    return Gathered(zeros, np.zeros((), np.int32))  # type: ignore[arg-type]


def added(gathered: Gathered, gradient: Any, examples: Int[Array, ""]) -> Gathered:
    """With the mean gradient of one more batch."""
    total = jax.tree.map(lambda total, mean: total + mean * examples, gathered.gradient, gradient)
    return Gathered(total, gathered.examples + examples)


def mean(gathered: Gathered) -> Any:
    """The gradient of the mean over all examples."""
    return jax.tree.map(lambda total: total / gathered.examples, gathered.gradient)


def updates_per_epoch(steps: int, every: int) -> int:
    """Updates that an epoch of `steps` batches makes: one after each `every`, and one after the last."""
    return -(-steps // every)


def is_due(step: ArrayLike, steps: int, every: int) -> Bool[Array, ""]:
    """Whether an update follows the batch of this number, counted from 0 over all epochs of `steps` batches."""
    at = jnp.asarray(step) % steps
    return (at % every == every - 1) | (at == steps - 1)


def update_of(step: Any, steps: int, every: int) -> Any:
    """The number of the update to which a batch belongs; both count from 0."""
    return step // steps * updates_per_epoch(steps, every) + step % steps // every
