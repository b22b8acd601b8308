"""Building layer after layer with the map's shape known at every step."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from cnnlab.layers.compose import Sequential
from cnnlab.layers.resample import Flatten
from cnnlab.layers.windows import ShapeError

_TAKEN = frozenset(dir(Sequential({})))  # a layer is an attribute, and must not hide one of the module's own


class Stack:
    """A Sequential in the making: `shape` is the map's here, [*space, channel], without the batch."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape = tuple(shape)
        self.layers: dict[str, nnx.Module] = {}

    @property
    def channels(self) -> int:
        return self.shape[-1]

    @property
    def axes(self) -> int:
        return len(self.shape) - 1

    def add(self, name: str, make: Callable[[], nnx.Module], *, where: str = "") -> None:
        """Append what `make` builds, and follow the shape through it. Raises ShapeError that names the layer."""
        try:
            if name in self.layers or name in _TAKEN:
                raise ShapeError(f"the name '{name}' is taken", hint="choose another")
            layer = make()
            if isinstance(layer, Flatten):
                layer.grid = self.shape
            example = jax.ShapeDtypeStruct((1, *self.shape), jnp.float32)
            self.shape = jax.eval_shape(layer, example).shape[1:]
        except ShapeError as error:
            if error.where:
                raise
            raise ShapeError(error.message, hint=error.hint, where=where or f"layer {name}") from None
        self.layers[name] = layer

    def build(self) -> Sequential:
        return Sequential(self.layers)
