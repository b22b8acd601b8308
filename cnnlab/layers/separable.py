"""Convolution with fewer weights: channel by channel, and axis by axis."""

from collections.abc import Sequence

from flax import nnx

from cnnlab.layers.conv import Conv, Map, NewMap
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.windows import Padding, PerAxis, ShapeError, pads, per_axis, spatial_axes


class DepthwiseConv(Conv):
    """Every input channel is convolved by itself, to `features / in_features` channels."""

    def __init__(
        self,
        in_features: int,
        features: int | None,
        kernel: PerAxis,
        *,
        axes: int,
        stride: PerAxis = 1,
        padding: Padding = "same",
        padding_mode: str = "zeros",
        dilation: PerAxis = 1,
        bias: bool = True,
        init: Initializer,
    ):
        features = in_features if features is None else features
        if features % in_features:
            raise ShapeError(f"features {features} is no multiple of the {in_features} input channels")
        super().__init__(
            in_features,
            features,
            kernel,
            axes=axes,
            stride=stride,
            padding=padding,
            padding_mode=padding_mode,
            dilation=dilation,
            groups=in_features,
            bias=bias,
            init=init,
        )


class SeparableConv(nnx.Module):
    """A depthwise convolution, then a 1x1 to `features` channels (Chollet 2017)."""

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
        bias: bool = True,
        init: Initializer,
    ):
        self.depthwise = DepthwiseConv(
            in_features,
            None,
            kernel,
            axes=axes,
            stride=stride,
            padding=padding,
            padding_mode=padding_mode,
            dilation=dilation,
            bias=False,
            init=init,
        )
        self.pointwise = Conv(in_features, features, 1, axes=axes, bias=bias, init=init)

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> NewMap:
        return self.pointwise(self.depthwise(x))


class SpatiallySeparableConv(nnx.Module):
    """One convolution an axis, each with its window along that axis alone: k x 1, then 1 x k.

    Szegedy et al. 2016, section 3.2. All have `features` channels; between them stands no activation.
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
        bias: bool = True,
        init: Initializer,
    ):
        windows, strides, dilations = (
            per_axis(value, axes, what)
            for value, what in ((kernel, "kernel"), (stride, "stride"), (dilation, "dilation"))
        )
        ones = (1,) * axes
        beside = padding if padding in ("same", "valid", "ceil") else pads(padding, ones, ones, ones, ones)

        def along(axis: int, values: Sequence[int]) -> tuple[int, ...]:
            return tuple(value if i == axis else 1 for i, value in enumerate(values))

        self.order = tuple(f"axis{axis}" for axis in range(axes))
        for axis, name in enumerate(self.order):
            alone = beside if isinstance(beside, str) else _only(axis, beside)
            conv = Conv(
                in_features if axis == 0 else features,
                features,
                along(axis, windows),
                axes=axes,
                stride=along(axis, strides),
                padding=alone,
                padding_mode=padding_mode,
                dilation=along(axis, dilations),
                bias=bias and axis == axes - 1,
                init=init,
            )
            setattr(self, name, conv)

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> NewMap:
        spatial_axes(x.shape)
        for name in self.order:
            x = getattr(self, name)(x)
        return x


def _only(axis: int, padding: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    return tuple(beside if i == axis else (0, 0) for i, beside in enumerate(padding))
