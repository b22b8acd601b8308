"""Activations, element by element (softmax: over channels), as modules so that tables name them."""

from collections.abc import Callable

import jax
from flax import nnx
from jax import Array

from cnnlab.layers.mode import EVALUATION, Mode


class Activation(nnx.Module):
    """A function of every element."""

    function: Callable[[Array], Array]

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        return type(self).function(x)


class Identity(Activation):
    """x."""

    function = staticmethod(lambda x: x)


class Relu(Activation):
    """max(x, 0)."""

    function = staticmethod(jax.nn.relu)


class Elu(Activation):
    """x where positive, exp(x) - 1 elsewhere (Clevert, Unterthiner and Hochreiter 2016)."""

    function = staticmethod(jax.nn.elu)


class Gelu(Activation):
    """x Phi(x), exact (Hendrycks and Gimpel 2016)."""

    function = staticmethod(lambda x: jax.nn.gelu(x, approximate=False))


class Sigmoid(Activation):
    """1 / (1 + exp(-x))."""

    function = staticmethod(jax.nn.sigmoid)


class Tanh(Activation):
    """The hyperbolic tangent."""

    function = staticmethod(jax.numpy.tanh)


class Softplus(Activation):
    """log(1 + exp(x))."""

    function = staticmethod(jax.nn.softplus)


class Swish(Activation):
    """x sigmoid(x) (Ramachandran, Zoph and Le 2017), also called SiLU."""

    function = staticmethod(jax.nn.swish)


class Softmax(Activation):
    """exp(x) over its sum along the channels."""

    function = staticmethod(jax.nn.softmax)


class LeakyRelu(nnx.Module):
    """x where positive, slope x elsewhere (Maas, Hannun and Ng 2013)."""

    def __init__(self, slope: float = 0.01):
        self.slope = slope

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        return jax.nn.leaky_relu(x, self.slope)


ACTIVATIONS: dict[str, Callable[[], nnx.Module]] = {
    "identity": Identity,
    "relu": Relu,
    "leaky_relu": LeakyRelu,
    "elu": Elu,
    "gelu": Gelu,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "softplus": Softplus,
    "swish": Swish,
    "softmax": Softmax,
}
