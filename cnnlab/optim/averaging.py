"""Means of the weights over the updates: exponential, or Polyak's and Ruppert's."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Bool

from cnnlab.spec.train import Average


class Averaged(NamedTuple):
    """How many iterates there were, and their mean; the exponential one still leans to 0, from where it started."""

    iterates: Array
    params: Any
    stats: Any


def begun(params: Any, stats: Any) -> Averaged:
    """Before the first iterate, as NumPy arrays."""
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), (params, stats))
    return Averaged(np.zeros((), np.int32), *zeros)  # type: ignore[arg-type]


def followed(spec: Average, average: Averaged, params: Any, stats: Any, counts: Bool[Array, ""]) -> Averaged:
    """The average with one more iterate, where that `counts`.

    Exponential: s = decay s + (1 - decay) w, and the mean s / (1 - decay ** n) after n iterates, as Adam has it
    (Kingma and Ba 2015, section 7.2). Polyak and Ruppert (1992): m = m + (w - m) / n.
    """
    iterates, decay = average.iterates + 1, spec.decay

    def one(mean: Array, now: Array) -> Array:
        next_mean = mean + (now - mean) / iterates if decay is None else decay * mean + (1 - decay) * now
        return jnp.where(counts, next_mean, mean)

    means = jax.tree.map(one, (average.params, average.stats), (params, stats))
    return Averaged(jnp.where(counts, iterates, average.iterates), *means)


def means(spec: Average, average: Averaged, params: Any, stats: Any) -> tuple[Any, Any]:
    """The mean weights and statistics; before the first iterate that counts, those given."""
    iterates = jnp.maximum(average.iterates, 1)
    found = (average.params, average.stats)
    if spec.decay is not None:
        found = optax.tree.bias_correction(found, spec.decay, iterates)
    return jax.tree.map(lambda mean, now: jnp.where(average.iterates == 0, now, mean), found, (params, stats))
