"""A convolution and the layers behind it in one pass over the map, for evaluation."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax import Array

from cnnlab.kernels.convolution import convolution
from cnnlab.layers.conv import Conv, Map, NewMap
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.norm import AFTER, After, BatchNorm
from cnnlab.layers.regularize import Dropout


class Folded(NamedTuple):
    """A convolution, the normalisation behind it if there is one, and what comes after both.

    Running statistics make of a normalisation a factor and a bias for each channel: the one goes into the weights
    (Jacob et al. 2018, section 3.2), the other into the sums.
    """

    conv: Conv
    norm: BatchNorm | None

    def __call__(self, x: Map, mode: Mode = EVALUATION, after: After = AFTER) -> NewMap:
        x, windows = self.conv.bordered(x)
        kernel = self.conv.kernel[...]
        bias = jnp.zeros(kernel.shape[-1]) if self.conv.bias is None else self.conv.bias[...]
        factor: Array = jnp.ones_like(bias)
        if self.norm is not None:
            factor = self.norm.factor()
            bias = (bias - self.norm.mean[...]) * factor + self.norm.bias[...]
        return convolution(x, kernel, factor, bias, windows, *after)


Layer = nnx.Module | Folded


def folded(layers: Sequence[nnx.Module]) -> list[Layer]:
    """The layers of an evaluation, each convolution with the normalisation behind it."""
    made: list[Layer] = []
    for layer in layers:
        last = made[-1] if made else None
        if isinstance(layer, Dropout):
            continue  # it is for training alone
        if type(layer) is Conv:
            made.append(Folded(layer, None))
        elif isinstance(layer, BatchNorm) and isinstance(last, Folded) and last.norm is None:
            made[-1] = Folded(last.conv, layer)
        else:
            made.append(layer)
    return made
