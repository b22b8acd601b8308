"""Layers that change a map's size or form without weights: flatten, pad, upsample."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from cnnlab.layers.conv import Map
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.pool import Pooled
from cnnlab.layers.windows import Padding, PerAxis, ShapeError, pads, per_axis, show, spatial_axes

_NUMPY_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


class Flatten(nnx.Module):
    """[batch, *space, channel] to [batch, everything], channels fastest."""

    def __call__(self, x: Float[Array, "batch ..."], mode: Mode = EVALUATION) -> Float[Array, "batch features"]:
        return x.reshape(x.shape[0], -1)


class Pad(nnx.Module):
    """More positions around the map: zeros, or the map itself reflected, replicated or taken as circular."""

    def __init__(self, padding: Padding, *, axes: int, mode: str = "zeros"):
        if isinstance(padding, str):
            raise ShapeError(f"padding must be numbers here, not {padding}")
        ones = (1,) * axes
        self.padding, self.mode = pads(padding, ones, ones, ones, ones), mode

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> Pooled:
        space = x.shape[1:-1]
        room = {"reflect": -1, "circular": 0}.get(self.mode)
        if room is not None and any(max(p) > n + room for p, n in zip(self.padding, space, strict=True)):
            raise ShapeError(f"the map is {show(space)} here, too small for {self.mode} padding {self.padding}")
        return jnp.pad(x, ((0, 0), *self.padding, (0, 0)), mode=_NUMPY_MODES[self.mode])


class Upsample(nnx.Module):
    """`factor` times as many positions: each repeated, or bilinear between centres (half-pixel, edges held)."""

    def __init__(self, factor: PerAxis, *, axes: int, method: str = "nearest"):
        self.factor, self.method = per_axis(factor, axes, "factor"), method

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> Pooled:
        if self.method == "nearest":
            for axis, factor in enumerate(self.factor, start=1):
                x = jnp.repeat(x, factor, axis)
            return x
        space = [n * f for n, f in zip(x.shape[1 : 1 + spatial_axes(x.shape)], self.factor, strict=True)]
        return jax.image.resize(x, (x.shape[0], *space, x.shape[-1]), "linear")
