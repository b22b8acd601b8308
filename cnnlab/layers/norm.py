"""Normalisation: over the batch, and over groups of channels within each example."""

import jax
import numpy as np
from flax import nnx
from jax import Array

from cnnlab.layers.conv import Map
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.windows import ShapeError


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

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> Map:
        mean, var = self.mean[...], self.var[...]
        if mode.train and not self.frozen:
            axes = tuple(range(x.ndim - 1))
            batch_mean, batch_var = x.mean(axes), x.var(axes)
            count = x.size // x.shape[-1]
            unbiased = batch_var * (count / max(count - 1, 1))
            self.mean[...] = self.momentum * mean + (1 - self.momentum) * jax.lax.stop_gradient(batch_mean)
            self.var[...] = self.momentum * var + (1 - self.momentum) * jax.lax.stop_gradient(unbiased)
            mean, var = batch_mean, batch_var
        return (x - mean) * (jax.lax.rsqrt(var + self.epsilon) * self.scale[...]) + self.bias[...]


class GroupNorm(nnx.Module):
    """Wu and He 2018: over space and a group of channels, example by example; scale and bias per channel."""

    def __init__(self, features: int, groups: int, *, epsilon: float = 1e-5):
        if features % groups:
            raise ShapeError(f"{groups} groups do not divide the {features} channels")
        self.groups, self.epsilon = groups, epsilon
        self.scale, self.bias = nnx.Param(np.ones(features, np.float32)), nnx.Param(np.zeros(features, np.float32))

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> Map:
        grouped = x.reshape(x.shape[0], -1, self.groups, x.shape[-1] // self.groups)
        mean = grouped.mean((1, 3), keepdims=True)
        var = grouped.var((1, 3), keepdims=True)
        normal: Array = ((grouped - mean) * jax.lax.rsqrt(var + self.epsilon)).reshape(x.shape)
        return normal * self.scale[...] + self.bias[...]


class LayerNorm(GroupNorm):
    """Ba, Kiros and Hinton 2016: over space and all channels, example by example."""

    def __init__(self, features: int, *, epsilon: float = 1e-5):
        super().__init__(features, 1, epsilon=epsilon)


class InstanceNorm(GroupNorm):
    """Ulyanov, Vedaldi and Lempitsky 2016: over space, example by example and channel by channel."""

    def __init__(self, features: int, *, epsilon: float = 1e-5):
        super().__init__(features, features, epsilon=epsilon)
