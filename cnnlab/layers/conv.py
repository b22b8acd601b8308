"""Convolution in one, two and three dimensions: plain, grouped, transposed; and dense.

Weights are used in the numbers of the map that comes: see precision.py.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float

from cnnlab.kernels.convolution import Windows
from cnnlab.kernels.problem import layout
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.pad import padded
from cnnlab.layers.precision import product
from cnnlab.layers.windows import Padding, PerAxis, ShapeError, check_fits, pads, per_axis, show, spatial_axes

Map = Float[Array, "batch *space channel"]
NewMap = Float[Array, "batch *new_space features"]


class _Windowed(nnx.Module):
    """What convolution and transposed convolution share: the kernel [*window, in_features / groups, features]."""

    def __init__(
        self,
        in_features: int,
        features: int,
        kernel: PerAxis,
        *,
        axes: int,
        stride: PerAxis = 1,
        padding: Padding = "same",
        dilation: PerAxis = 1,
        groups: int = 1,
        bias: bool = True,
        init: Initializer,
    ):
        for what, count in (("input", in_features), ("output", features)):
            if count % groups:
                raise ShapeError(f"{groups} groups do not divide the {count} {what} channels")
        self.window = per_axis(kernel, axes, "kernel")
        self.stride = per_axis(stride, axes, "stride")
        self.dilation = per_axis(dilation, axes, "dilation")
        self.padding, self.groups = padding, groups
        self.kernel = nnx.Param(init.kernel((*self.window, in_features // groups, features)))
        self.bias = nnx.Param(np.zeros(features, np.float32)) if bias else None


class Conv(_Windowed):
    """Cross-correlation of [batch, *space, in_features] with a kernel [*kernel, in_features / groups, features].

    `padding_mode` says what stands beyond the border: zeros, or the map itself (reflect, replicate, circular).
    Raises ShapeError where nothing is padded and the mode would mean nothing.
    """

    def __init__(
        self,
        in_features: int,
        features: int,
        kernel: PerAxis,
        *,
        axes: int,
        stride: PerAxis = 1,
        padding: Padding = "same",
        padding_mode: str = "zeros",
        dilation: PerAxis = 1,
        groups: int = 1,
        bias: bool = True,
        init: Initializer,
    ):
        super().__init__(
            in_features,
            features,
            kernel,
            axes=axes,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=bias,
            init=init,
        )
        if padding_mode != "zeros" and padding in ("valid", 0):
            raise ShapeError(
                f"padding {padding} has no border to fill by padding_mode {padding_mode}", hint="leave one of them out"
            )
        self.padding_mode = padding_mode

    def bordered(self, x: Map) -> tuple[Array, Windows]:
        """The map as the windows see it, and where they lie."""
        space = x.shape[1 : 1 + spatial_axes(x.shape)]
        padding = pads(self.padding, space, self.window, self.stride, self.dilation)
        check_fits(space, self.window, self.dilation, padding)
        if self.padding_mode != "zeros":
            x, padding = padded(x, padding, self.padding_mode), ((0, 0),) * len(space)
        return x, Windows(self.stride, padding, self.dilation, self.groups)

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> NewMap:
        x, windows = self.bordered(x)
        y = jax.lax.conv_general_dilated(
            x,
            self.kernel[...].astype(x.dtype),
            windows.stride,
            windows.padding,
            rhs_dilation=windows.dilation,
            dimension_numbers=layout(x.ndim - 2),
            feature_group_count=windows.groups,
        )
        return y if self.bias is None else (y + self.bias[...]).astype(x.dtype)


class ConvTranspose(_Windowed):
    """The gradient of a convolution with respect to its input, as a layer (Dumoulin and Visin, chapter 4).

    A map of n positions becomes stride (n - 1) + dilation (kernel - 1) + 1 - padding: `valid` cuts nothing,
    `same` gives n * stride, numbers cut as many positions before and after.
    """

    def _cuts(self, space: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        if self.padding == "ceil":
            raise ShapeError("padding cannot be ceil in a transposed convolution", hint="say same, valid or numbers")
        if self.padding != "same":
            return pads(self.padding, space, self.window, self.stride, self.dilation)
        cuts = []
        for k, s, d in zip(self.window, self.stride, self.dilation, strict=True):
            surplus = d * (k - 1) + 1 - s  # negative: positions are added behind instead
            cuts.append((max(surplus, 0) // 2, surplus - max(surplus, 0) // 2))
        return tuple(cuts)

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> NewMap:
        space = x.shape[1 : 1 + spatial_axes(x.shape)]
        reach = [d * (k - 1) for k, d in zip(self.window, self.dilation, strict=True)]
        padding = [(r - low, r - high) for r, (low, high) in zip(reach, self._cuts(space), strict=True)]
        sizes = [
            s * (n - 1) + 1 + a + b - r for n, s, r, (a, b) in zip(space, self.stride, reach, padding, strict=True)
        ]
        if min(sizes) < 1:
            raise ShapeError(f"the map is {show(space)} here, and its padding cuts all of the output away")
        y = jax.lax.conv_general_dilated(
            x,
            jnp.flip(self.kernel[...].astype(x.dtype), range(len(space))),
            (1,) * len(space),
            padding,
            lhs_dilation=self.stride,
            rhs_dilation=self.dilation,
            dimension_numbers=layout(len(space)),
            feature_group_count=self.groups,
        )
        return y if self.bias is None else (y + self.bias[...]).astype(x.dtype)


class Dense(nnx.Module):
    """x W + b over the last axis: [batch, in_features] to [batch, features]."""

    def __init__(self, in_features: int, features: int, *, bias: bool = True, init: Initializer):
        self.kernel = nnx.Param(init.kernel((in_features, features), "lecun_normal"))
        self.bias = nnx.Param(np.zeros(features, np.float32)) if bias else None

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> Float[Array, "batch features"]:
        if x.ndim != 2:
            shape = show(x.shape[1:])
            raise ShapeError(
                f"takes a vector, and the map is {shape} here",
                hint="put flatten or global_avg_pool before it",
            )
        y = product(x, self.kernel[...])
        return y if self.bias is None else (y + self.bias[...]).astype(x.dtype)


__all__ = ["Conv", "ConvTranspose", "Dense", "Map", "spatial_axes"]
