"""Layers in two by truncated singular value decomposition of their kernels."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any

import numpy as np
from flax import nnx

from cnnlab.errors import SpecError, did_you_mean
from cnnlab.layers.conv import Conv, Dense
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.low_rank import BASIS, MIX, factorizable, low_rank
from cnnlab.trace.walk import trace
from cnnlab.weights.head import heads_of


@dataclass(frozen=True, eq=False)
class Decomposed:
    """A kernel [*window, in_features, features], unfolded to a matrix [inputs of an output, features] = U diag(s) V.

    Cut off behind the largest `rank` singular values it is the nearest matrix of that rank (Eckart and Young 1936),
    which a layer of `rank` outputs and a 1x1 one behind it compute (Zhang, Zou, He and Sun 2016, section 3.1; the
    truncated decomposition of dense layers is Denton et al. 2014's, section 3.2).
    """

    kernel: np.ndarray

    @cached_property
    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """U [inputs, rank], s [rank] from large to small, V [rank, features], in float64."""
        unfolded = self.kernel.reshape(-1, self.kernel.shape[-1]).astype(np.float64)
        return np.linalg.svd(unfolded, full_matrices=False)

    @property
    def largest(self) -> int:
        """The rank at which nothing is lost."""
        return largest_rank(self.kernel.shape)

    def rank_of_share(self, share: float) -> int:
        """This share of the largest rank, rounded up."""
        return max(1, ceil(share * self.largest))

    def rank_of_energy(self, share: float) -> int:
        """The smallest rank whose singular values, squared, have this share of the sum of all."""
        energy = np.cumsum(self.parts[1] ** 2)
        return min(self.largest, int(np.searchsorted(energy, share * energy[-1])) + 1)

    def saves(self, rank: int) -> bool:
        """Whether two layers have fewer weights than the one."""
        inputs, features = self.kernel.size // self.kernel.shape[-1], self.kernel.shape[-1]
        return rank * (inputs + features) < inputs * features

    def truncated(self, rank: int) -> tuple[np.ndarray, np.ndarray]:
        """The kernels of `basis` [*window, in_features, rank] and `mix` [*1, rank, features], of equal norm."""
        left, values, right = self.parts
        root = np.sqrt(values[:rank])
        basis = (left[:, :rank] * root).reshape(*self.kernel.shape[:-1], rank)
        mix = (root[:, None] * right[:rank]).reshape(*(1,) * (self.kernel.ndim - 2), rank, -1)
        return basis.astype(np.float32), mix.astype(np.float32)


def largest_rank(shape: tuple[int, ...]) -> int:
    """Of a kernel [*window, in_features, features]."""
    return min(int(np.prod(shape[:-1])), shape[-1])


def candidates(network: nnx.Module, input_shape: tuple[int, ...]) -> tuple[str, ...]:
    """The paths of layers that can be factorised and that a forward pass calls, in its order; no heads among them,
    which `new_head` replaces and `--output features` stops before."""
    layers, heads = _layers(network), set(heads_of(network, input_shape))
    called = dict.fromkeys(call.path for call in trace(network, input_shape).calls)
    return tuple(path for path in called if path not in heads and factorizable(layers.get(path)))


def factorized(
    weights: Mapping[str, np.ndarray], kernels: Mapping[str, Decomposed], ranks: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """The weights of the network with `ranks`, by name, from those of the whole one; `kernels` by their layers."""
    found: dict[str, np.ndarray] = {}
    for name, value in weights.items():
        path, _, leaf = name.rpartition(".")
        if path not in ranks:
            found[name] = value
        elif leaf == "kernel":
            basis, mix = kernels[path].truncated(ranks[path])
            found[f"{path}.{BASIS}.kernel"], found[f"{path}.{MIX}.kernel"] = basis, mix
        else:
            found[f"{path}.{MIX}.{leaf}"] = value
    return found


def with_ranks(network: nnx.Module, ranks: Mapping[str, int], init: Initializer) -> None:
    """Put two layers where each of these stands, by its path. Raises SpecError where one cannot be factorised."""
    for path, rank in ranks.items():
        layers = _layers(network)
        layer, where = layers.get(path), f"model.ranks.{path}"
        if not factorizable(layer):
            fitting = [name for name, one in layers.items() if factorizable(one)]
            near = did_you_mean(path, fitting) or f"there are {', '.join(fitting) or 'none'}"
            message = "is no convolution without groups and no dense layer of the network"
            raise SpecError(message, where=where, hint=near)
        assert isinstance(layer, Conv | Dense)
        if rank > (largest := largest_rank(layer.kernel[...].shape)):
            raise SpecError(f"{rank}, and its kernel has the rank {largest} at most", where=where)
        holder: Any = network
        *parents, last = path.split(".")
        for part in parents:
            holder = getattr(holder, part)
        setattr(holder, last, low_rank(layer, rank, init=init))


def _layers(network: nnx.Module) -> dict[str, nnx.Module]:
    return {".".join(map(str, path)): module for path, module in nnx.iter_modules(network)}
