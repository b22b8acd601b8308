"""Gates: a map weighed by what the network makes of it."""

import jax.numpy as jnp
from flax import nnx
from jax import Array

from cnnlab.kernels.channel_sums import mean_over_space, weighed
from cnnlab.layers.activation import ACTIVATIONS
from cnnlab.layers.conv import Conv, Map
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.precision import at_least_float32
from cnnlab.layers.windows import spatial_axes


class SqueezeExcite(nnx.Module):
    """x times a weight from 0 to 1 for each channel, from the channels' means over space (Hu, Shen and Sun 2018).

    squeeze: mean; excite: `hidden` units with an activation, then one sigmoid unit a channel (eq. 2 to 4).
    """

    def __init__(self, features: int, hidden: int, *, axes: int, activation: str = "relu", init: Initializer):
        self.reduce = Conv(features, hidden, 1, axes=axes, init=init)
        self.activation = ACTIVATIONS[activation]()
        self.expand = Conv(hidden, features, 1, axes=axes, init=init)
        self.gate = ACTIVATIONS["sigmoid"]()

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> Map:
        space = range(1, 1 + spatial_axes(x.shape))
        if mode.train:
            mean = jnp.expand_dims(mean_over_space(x).astype(x.dtype), space)
        else:
            mean = x.mean(space, keepdims=True)
        weight: Array = self.gate(self.expand(self.activation(self.reduce(mean))))
        weight = weight.astype(at_least_float32(x))
        return weighed(x, weight.squeeze(space)) if mode.train else (x * weight).astype(x.dtype)
