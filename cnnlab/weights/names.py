"""Every tensor of a network under our name and torch's, with the way from one layout to the other."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

import jax
import numpy as np
from flax import nnx

from cnnlab.layers.compose import Sequential
from cnnlab.layers.conv import ConvTranspose, Dense
from cnnlab.layers.resample import Flatten
from cnnlab.models import FLATTENED, TORCH_NAMES

Rules = tuple[tuple[str, str], ...]

# torch's names of what a layer holds; a name that is not here stays.
_LEAVES = {"kernel": "weight", "scale": "weight", "slope": "weight", "mean": "running_mean", "var": "running_var"}
OURS, PLAIN = "cnnlab", "plain"  # naming schemes beside those of the publishers
UNUSED = "num_batches_tracked"  # torch's count of batches, which nothing here reads


@dataclass(frozen=True)
class Tensor:
    """One parameter or running statistic: `ours` and `torch` name it, the shape is ours.

    A kernel [*window, in / groups, out] is torch's [out, in / groups, *window]; of a transposed convolution it is
    [in, out / groups, *window], and only there `groups` counts.
    `grid` is the map that a dense layer's input was flattened from: [*space, channel] here, [channel, *space] there.
    """

    ours: str
    torch: str
    shape: tuple[int, ...]
    transposed: bool = False
    grid: tuple[int, ...] = ()
    groups: int = 1

    @property
    def _split(self) -> tuple[int, ...]:
        """The shape with the groups beside the output channels of each: [*window, in / groups, groups, out / groups]"""
        return (*self.shape[:-1], self.groups, self.shape[-1] // self.groups)

    @property
    def _joined(self) -> tuple[int, ...]:
        """The shape [*window, in, out / groups]."""
        return (*self.shape[:-2], self.shape[-2] * self.groups, self.shape[-1] // self.groups)

    @property
    def _order(self) -> tuple[int, ...]:
        *window, inside, out = range(len(self.shape))
        return (inside, out, *window) if self.transposed else (out, inside, *window)

    @property
    def torch_shape(self) -> tuple[int, ...]:
        """The shape in torch's layout."""
        return self.shape if len(self.shape) < 2 else tuple(self._joined[axis] for axis in self._order)

    def to_torch(self, value: np.ndarray) -> np.ndarray:
        """Our array in torch's layout."""
        if value.ndim < 2:
            return value
        if self.grid:
            value = np.moveaxis(value.reshape(*self.grid, -1), len(self.grid) - 1, 0).reshape(value.shape)
        if self.groups > 1:
            value = np.moveaxis(value.reshape(self._split), -2, -3).reshape(self._joined)
        return np.ascontiguousarray(value.transpose(self._order))

    def from_torch(self, value: np.ndarray) -> np.ndarray:
        """The inverse of `to_torch`."""
        if value.ndim < 2:
            return value
        value = value.transpose(np.argsort(self._order))
        if self.groups > 1:
            *window, inside, out = self.shape
            grouped = value.reshape(*window, self.groups, inside, out // self.groups)
            value = np.moveaxis(grouped, -3, -2).reshape(self.shape)
        if self.grid:
            *space, channels = self.grid
            value = np.moveaxis(value.reshape(channels, *space, -1), 0, len(space)).reshape(value.shape)
        return np.ascontiguousarray(value)


def schemes(name: str | None) -> dict[str, Rules]:
    """The torch naming schemes of an architecture, the usual one first; without one a tensor keeps its path."""
    return dict(TORCH_NAMES.get(name or "", {PLAIN: ()}))


def tensors(model: nnx.Module, name: str | None, scheme: str, axes: int) -> list[Tensor]:
    """Every tensor of the network `name` (None: layers of one's own) on maps of `axes` spatial axes.

    A layer that the publishers' network does not have (another normalisation, say) keeps its path.
    """
    rules = schemes(name)[scheme]
    transposed = {
        ".".join(map(str, path)): module.groups
        for path, module in nnx.iter_modules(model)
        if isinstance(module, ConvTranspose)
    }
    grids = {module: (*(side,) * axes, 0) for module, side in FLATTENED.get(name or "", {}).items()} | _grids(model)
    found = []
    for path, variable in nnx.to_flat_state(nnx.state(model, (nnx.Param, nnx.BatchStat))):
        *parts, leaf = map(str, path)
        module, shape = ".".join(parts), tuple(variable.shape)
        grid = grids.get(module, ()) if leaf == "kernel" else ()
        if grid:
            grid = (*grid[:-1], shape[0] // prod(grid[:-1]))
        torch_name = f"{_translated(module, rules)}.{_LEAVES.get(leaf, leaf)}"
        groups = transposed.get(module, 1) if leaf == "kernel" else 1
        found.append(Tensor(f"{module}.{leaf}", torch_name, shape, module in transposed, grid, groups))
    return found


def _grids(model: nnx.Module) -> dict[str, tuple[int, ...]]:
    """The maps that dense layers read flattened, by the path of the dense layer; what lies between has no weights."""
    found = {}
    for path, module in nnx.iter_modules(model):
        grid: tuple[int, ...] = ()
        for name in module.order if isinstance(module, Sequential) else ():
            layer = getattr(module, name)
            if isinstance(layer, Flatten):
                grid = layer.grid
            elif isinstance(layer, Dense) and grid:
                found[".".join((*map(str, path), name))] = grid
            if jax.tree.leaves(nnx.state(layer, nnx.Param)):
                grid = ()
    return found


def _translated(module: str, rules: Iterable[tuple[str, str]]) -> str:
    for pattern, template in rules:
        if match := re.fullmatch(pattern, module):
            return match.expand(template)
    return module


def counters(names: Iterable[str]) -> dict[str, np.ndarray]:
    """The counts of batches that torch keeps beside running statistics, all 0."""
    stem = "running_mean"
    return {name.removesuffix(stem) + UNUSED: np.zeros((), np.int64) for name in names if name.endswith(stem)}


def used(names: Mapping[str, object]) -> set[str]:
    """The names without those counts."""
    return {name for name in names if name.rpartition(".")[2] != UNUSED}
