"""Activations, element by element (softmax: over channels), as modules so that tables name them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.precision import at_least_float32


class Activation(nnx.Module):
    """A function of every element."""

    function: Callable[[Array], Array]

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        return type(self).function(x)


class Identity(Activation):
    """x."""

    function = staticmethod(lambda x: x)


class HardThreshold(Activation):
    """1 where x > 0, else 0 (McCulloch and Pitts 1943); its gradient is 0 everywhere."""

    function = staticmethod(lambda x: (x > 0).astype(x.dtype))


class Relu(Activation):
    """max(x, 0)."""

    function = staticmethod(jax.nn.relu)


class Gelu(Activation):
    """x Phi(x), exact (Hendrycks and Gimpel 2016)."""

    function = staticmethod(lambda x: jax.nn.gelu(x, approximate=False))


class Sigmoid(Activation):
    """1 / (1 + exp(-x))."""

    function = staticmethod(jax.nn.sigmoid)


class Tanh(Activation):
    """The hyperbolic tangent."""

    function = staticmethod(jnp.tanh)


class ScaledTanh(Activation):
    """1.7159 tanh(2x / 3), which maps ±1 to ±1 (LeCun, Bottou, Orr and Müller 1998, section 4.4)."""

    function = staticmethod(lambda x: 1.7159 * jnp.tanh(x * (2 / 3)))


class Softmax(Activation):
    """exp(x) over its sum along the channels, in float32 at least."""

    function = staticmethod(lambda x: jax.nn.softmax(x.astype(at_least_float32(x))).astype(x.dtype))


class LeakyRelu(nnx.Module):
    """x where positive, slope x elsewhere (Maas, Hannun and Ng 2013)."""

    def __init__(self, slope: float = 0.01):
        self.slope = slope

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        return jax.nn.leaky_relu(x, self.slope)


class Prelu(nnx.Module):
    """x where positive, a learned slope times x elsewhere: a slope for each of `features` channels, or one for all.

    He, Zhang, Ren and Sun 2015, eq. 1; slopes start at 1/4.
    """

    def __init__(self, features: int = 1):
        self.slope = nnx.Param(np.full(features, 0.25, np.float32))

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        return jnp.where(x > 0, x, self.slope[...] * x).astype(x.dtype)


class Elu(nnx.Module):
    """x where positive, alpha (exp(x) - 1) elsewhere (Clevert, Unterthiner and Hochreiter 2016, eq. 15)."""

    def __init__(self, alpha: float = 1.0):
        self.alpha = alpha

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        return jax.nn.elu(x, self.alpha)


class Softplus(nnx.Module):
    """log(1 + exp(beta x)) / beta: a smooth rectifier, the nearer to it the larger beta."""

    def __init__(self, beta: float = 1.0):
        self.beta = beta

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        return jax.nn.softplus(self.beta * x) / self.beta


class Swish(nnx.Module):
    """x sigmoid(beta x), beta fixed or learned (Ramachandran, Zoph and Le 2017); with beta 1 also called SiLU."""

    def __init__(self, beta: float = 1.0, learned: bool = False):
        self.beta = nnx.Param(np.full(1, beta, np.float32)) if learned else beta

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        beta = self.beta[...] if isinstance(self.beta, nnx.Param) else self.beta
        return (x * jax.nn.sigmoid(beta * x)).astype(x.dtype)


class Sine(nnx.Module):
    """sin(frequency x) (Sitzmann et al. 2020, section 3)."""

    def __init__(self, frequency: float = 1.0):
        self.frequency = frequency

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        return jnp.sin(self.frequency * x)


# By name, each with its defaults: what a network takes as its `activation`.
ACTIVATIONS: dict[str, Callable[[], nnx.Module]] = {
    "identity": Identity,
    "hard_threshold": HardThreshold,
    "relu": Relu,
    "leaky_relu": LeakyRelu,
    "prelu": Prelu,
    "elu": Elu,
    "gelu": Gelu,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "scaled_tanh": ScaledTanh,
    "softplus": Softplus,
    "swish": Swish,
    "sine": Sine,
    "softmax": Softmax,
}
