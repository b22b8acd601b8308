"""How a forward pass is meant: for training or for evaluation, and with which randomness."""

from typing import NamedTuple

import jax
from jax import Array


class Mode(NamedTuple):
    """Given to every layer's call, so that nothing about a pass is hidden in a layer.

    `train` chooses batch statistics and dropout; `key` is what all randomness of this pass follows from.
    `fold` is for evaluation alone: a convolution does what follows it in the same pass (see folded.py).
    `recompute` lets blocks keep their inputs alone for the gradient (see recompute.py).
    """

    train: bool = False
    key: Array | None = None
    recompute: bool = False
    fold: bool = False

    def child(self, index: int) -> "Mode":
        """The mode of the `index`-th part of a composed layer: the same, with a key of its own."""
        return self if self.key is None else self._replace(key=jax.random.fold_in(self.key, index))


EVALUATION = Mode()
