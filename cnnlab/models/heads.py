"""What a network with several classifiers returns in training."""

from typing import NamedTuple

from jax import Array
from jaxtyping import Float


class Heads(NamedTuple):
    """The logits, and those of auxiliary classifiers, whose losses count `weight` times beside the first one's."""

    logits: Float[Array, "batch classes"]
    auxiliary: tuple[Float[Array, "batch classes"], ...]
    weight: float
