"""Layers made of layers: one after the other, around a shortcut, side by side."""

import operator
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array

from cnnlab.kernels import batch_norm
from cnnlab.kernels.batch_norm import Activation
from cnnlab.layers.folded import Folded, Layer, folded
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.norm import AFTER, After, BatchNorm, check_sum, fusible
from cnnlab.layers.recompute import recomputable
from cnnlab.layers.windows import ShapeError, show


class Sequential(nnx.Module):
    """Layers in order, each under its name: attributes, so that paths and checkpoints carry the names.

    None stands for a layer that is left out.
    """

    def __init__(self, layers: Mapping[str, nnx.Module | None]):
        self.order = tuple(name for name, layer in layers.items() if layer is not None)
        for name in self.order:
            setattr(self, name, layers[name])

    def __call__(self, x: Array, mode: Mode = EVALUATION, after: After = AFTER) -> Any:
        """A map or vector [batch, ...]; behind a `Fork` several by name.

        `after` is for the last layer, and only where `_joined` says that it will do it.
        """
        layers = self.steps(mode)
        done = False
        for i, layer in enumerate(layers):
            if done:  # by the one before it
                done = False
                continue
            behind = layers[i + 1] if i + 1 < len(layers) else None
            if behind is None:
                x = layer(x, mode.child(i)) if after is AFTER else layer(x, mode.child(i), after)
            elif activation := _joined(layer, behind, mode):
                x, done = layer(x, mode.child(i), After(activation)), True
            else:
                x = layer(x, mode.child(i))
        return x

    def steps(self, mode: Mode) -> Sequence[Layer]:
        """What a pass calls one after the other."""
        layers = [getattr(self, name) for name in self.order]
        return folded(layers) if mode.fold else layers


class Block(Sequential):
    """Layers in order that belong together: where activations are recomputed, it is for all of them at once."""

    @recomputable
    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        return super().__call__(x, mode)


def _joined(layer: Layer, activation: object, mode: Mode) -> Activation | None:
    """The name of an activation that the layer does itself, where it ends on one that can, and None elsewhere."""
    if type(layer) is Sequential and (steps := layer.steps(mode)):
        return _joined(steps[-1], activation, mode)
    name = fusible(activation)
    if isinstance(layer, BatchNorm) and layer.by_batch(mode):
        return name if name in batch_norm.ACTIVATIONS else None
    return name if isinstance(layer, Folded) else None


class Residual(nnx.Module):
    """activation(body(x) + shortcut(x)) (He, Zhang, Ren and Sun 2016, eq. 1 and 2); the shortcut may be None: x."""

    def __init__(self, body: nnx.Module, shortcut: nnx.Module | None = None, activation: nnx.Module | None = None):
        self.body, self.shortcut, self.activation = body, shortcut, activation

    @recomputable
    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        skip = x if self.shortcut is None else self.shortcut(x, mode.child(1))
        if activation := _joined(self.body, self.activation, mode):
            return self.body(x, mode.child(0), After(activation, skip))
        y = self.body(x, mode.child(0))
        check_sum(y, skip)
        y = y + skip
        return y if self.activation is None else self.activation(y, mode.child(2))


def crop_concat(skip: Array, x: Array) -> Array:
    """The centre of `skip`, as large as x, and x, joined over channels; of an odd surplus the larger half is behind.

    Raises ShapeError where `skip` is smaller than x.
    """
    surplus = [n - m for n, m in zip(skip.shape[1:-1], x.shape[1:-1], strict=True)] if skip.ndim == x.ndim else [-1]
    if any(cut < 0 for cut in surplus):
        raise ShapeError(f"the body gives {show(x.shape[1:])}, and {show(skip.shape[1:])} cannot be cropped to it")
    window = tuple(slice(cut // 2, cut // 2 + m) for cut, m in zip(surplus, x.shape[1:-1], strict=True))
    return jnp.concatenate([skip[(slice(None), *window)], x], -1)


class CropConcat(nnx.Module):
    """x and body(x) joined over channels, x cropped at its centre to the body's size (Ronneberger et al. 2015)."""

    def __init__(self, body: nnx.Module):
        self.body = body

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        return crop_concat(x, self.body(x, mode.child(0)))


class Branches(nnx.Module):
    """The same input through several parts, joined over channels (`concat`) or summed (`add`)."""

    def __init__(self, branches: Mapping[str, nnx.Module], join: str = "concat"):
        self.order, self.join = tuple(branches), join
        for name, branch in branches.items():
            setattr(self, name, branch)

    @recomputable
    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        parts = [getattr(self, name)(x, mode.child(i)) for i, name in enumerate(self.order)]
        end = -1 if self.join == "concat" else None
        if len({part.shape[:end] for part in parts}) > 1:
            shapes = ", ".join(show(part.shape[1:]) for part in parts)
            raise ShapeError(f"the branches give maps that do not fit together: {shapes}")
        return jnp.concatenate(parts, -1) if self.join == "concat" else reduce(operator.add, parts)


class Fork(nnx.Module):
    """The same input through several parts, each one's output under its name: the heads of a network."""

    def __init__(self, parts: Mapping[str, nnx.Module]):
        self.order = tuple(parts)
        for name, part in parts.items():
            setattr(self, name, part)

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> dict[str, Array]:
        return {name: getattr(self, name)(x, mode.child(i)) for i, name in enumerate(self.order)}
