"""Normalisation: over the batch, and over groups of channels within each example."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from cnnlab.kernels.batch_norm import Activation, batch_norm
from cnnlab.layers.activation import Identity, Relu, Sigmoid, Swish, Tanh
from cnnlab.layers.conv import Map
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.windows import ShapeError, show


class After(NamedTuple):
    """What comes right after a layer and is done in the same passes: + residual, then the activation."""

    activation: Activation = "identity"
    residual: Array | None = None


AFTER = After()


def check_sum(y: Array, skip: Array) -> None:
    """Raises ShapeError where what a body gives and what its shortcut gives cannot be added."""
    if y.shape != skip.shape:
        message = f"the body gives {show(y.shape[1:])} and the shortcut {show(skip.shape[1:])}"
        raise ShapeError(message, hint="give the shortcut a conv with the body's features and stride")


class BatchNorm(nnx.Module):
    """Ioffe and Szegedy 2015: per channel, by the batch's statistics in training, by running ones otherwise.

    `momentum` is the share of the old value that a step keeps (torch's momentum is 1 minus it). As in torch
    the running variance takes the unbiased estimate, n / (n - 1) times the batch's. A `frozen` one goes by its
    running statistics in training too, and leaves them as they are.
    """

    def __init__(self, features: int, *, epsilon: float = 1e-5, momentum: float = 0.9):
        self.epsilon, self.momentum, self.frozen = epsilon, momentum, False
        self.scale, self.bias = nnx.Param(np.ones(features, np.float32)), nnx.Param(np.zeros(features, np.float32))
        self.mean, self.var = (
            nnx.BatchStat(np.zeros(features, np.float32)),
            nnx.BatchStat(np.ones(features, np.float32)),
        )

    def __call__(self, x: Map, mode: Mode = EVALUATION, after: After = AFTER) -> Map:
        if not self.by_batch(mode):
            return ((x - self.mean[...]) * self.factor() + self.bias[...]).astype(x.dtype)
        if after.residual is not None:
            check_sum(x, after.residual)
        y, mean, var = batch_norm(x, self.scale[...], self.bias[...], self.epsilon, *after)
        count = x.size // x.shape[-1]
        unbiased = var * (count / max(count - 1, 1))
        for running, now in ((self.mean, mean), (self.var, unbiased)):
            before = running[...]
            running[...] = (self.momentum * before + (1 - self.momentum) * now).astype(before.dtype)
        return y

    def factor(self) -> Array:
        """Of each channel, by the running statistics: y = (x - mean) factor + bias."""
        return jax.lax.rsqrt(self.var[...] + self.epsilon) * self.scale[...]

    def by_batch(self, mode: Mode) -> bool:
        """Whether it goes by the batch's statistics; only then can it do what comes after it."""
        return mode.train and not self.frozen


NAMES: dict[type, Activation] = {
    type(None): "identity",
    Identity: "identity",
    Relu: "relu",
    Tanh: "tanh",
    Sigmoid: "sigmoid",
}


def fusible(activation: object) -> Activation | None:
    """The name by which kernels know an activation, None where they do not; that of no activation is identity."""
    if type(activation) is Swish and isinstance(activation.beta, float) and activation.beta == 1:
        return "swish"
    return NAMES.get(type(activation))


class GroupNorm(nnx.Module):
    """Wu and He 2018: over space and a group of channels, example by example; scale and bias per channel."""

    def __init__(self, features: int, groups: int, *, epsilon: float = 1e-5):
        if features % groups:
            raise ShapeError(f"{groups} groups do not divide the {features} channels")
        self.groups, self.epsilon = groups, epsilon
        self.scale, self.bias = nnx.Param(np.ones(features, np.float32)), nnx.Param(np.zeros(features, np.float32))

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> Map:
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        grouped = wide.reshape(x.shape[0], -1, self.groups, x.shape[-1] // self.groups)
        mean = grouped.mean((1, 3), keepdims=True)
        var = grouped.var((1, 3), keepdims=True)
        normal: Array = ((grouped - mean) * jax.lax.rsqrt(var + self.epsilon)).reshape(x.shape)
        return (normal * self.scale[...] + self.bias[...]).astype(x.dtype)


class LayerNorm(GroupNorm):
    """Ba, Kiros and Hinton 2016: over space and all channels, example by example."""

    def __init__(self, features: int, *, epsilon: float = 1e-5):
        super().__init__(features, 1, epsilon=epsilon)


class InstanceNorm(GroupNorm):
    """Ulyanov, Vedaldi and Lempitsky 2016: over space, example by example and channel by channel."""

    def __init__(self, features: int, *, epsilon: float = 1e-5):
        super().__init__(features, features, epsilon=epsilon)
