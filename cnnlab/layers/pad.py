"""More positions around a map."""

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.windows import Padding, Pads, ShapeError, pads, show

_NUMPY_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
PADDING_MODES = tuple(_NUMPY_MODES)


def padded(x: Array, padding: Pads, mode: str) -> Array:
    """x [batch, *space, channel] with zeros around it, or itself reflected, replicated or taken as circular.

    Raises ShapeError where the map is too small to be reflected or to go round once.
    """
    space = x.shape[1:-1]
    room = {"reflect": -1, "circular": 0}.get(mode)
    if room is not None and any(max(p) > n + room for p, n in zip(padding, space, strict=True)):
        raise ShapeError(f"the map is {show(space)} here, too small for {mode} padding {padding}")
    return jnp.pad(x, ((0, 0), *padding, (0, 0)), mode=_NUMPY_MODES[mode])


class Pad(nnx.Module):
    """More positions around the map: zeros, or the map itself reflected, replicated or taken as circular."""

    def __init__(self, padding: Padding, *, axes: int, mode: str = "zeros"):
        if isinstance(padding, str):
            raise ShapeError(f"padding must be numbers here, not {padding}")
        ones = (1,) * axes
        self.padding, self.mode = pads(padding, ones, ones, ones, ones), mode

    def __call__(
        self, x: Float[Array, "batch *space channel"], mode: Mode = EVALUATION
    ) -> Float[Array, "batch *new_space channel"]:
        return padded(x, self.padding, self.mode)
