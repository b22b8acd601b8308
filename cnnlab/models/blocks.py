"""What the blocks of one network share, and the parts that many papers are made of."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from flax import nnx

from cnnlab.layers.activation import ACTIVATIONS
from cnnlab.layers.compose import Sequential
from cnnlab.layers.conv import Conv
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm
from cnnlab.layers.regularize import Dropout
from cnnlab.layers.windows import Padding, PerAxis, ShapeError, spatial_axes

# Each from the number of channels, epsilon and momentum; groups of channels are 32, or as many as divide the channels.
NORMALIZATIONS: dict[str, Callable[[int, float, float], nnx.Module | None]] = {
    "batch": lambda features, epsilon, momentum: BatchNorm(features, epsilon=epsilon, momentum=momentum),
    "group": lambda features, epsilon, _: GroupNorm(features, math.gcd(32, features), epsilon=epsilon),
    "instance": lambda features, epsilon, _: InstanceNorm(features, epsilon=epsilon),
    "layer": lambda features, epsilon, _: LayerNorm(features, epsilon=epsilon),
    "none": lambda features, epsilon, _: None,
}


@dataclass(frozen=True)
class Style:
    """Makes the layers of one network, all alike: `axes` spatial axes, one normalisation, one activation."""

    axes: int
    init: Initializer
    normalization: str = "batch"
    activation: str = "relu"
    epsilon: float = 1e-5
    momentum: float = 0.9

    @property
    def bias(self) -> bool:
        """Whether a convolution has a bias of its own: no where a normalisation brings one."""
        return self.normalization == "none"

    def conv(
        self,
        in_features: int,
        features: int,
        kernel: PerAxis,
        *,
        stride: PerAxis = 1,
        padding: Padding | None = None,
        groups: int = 1,
        bias: bool = False,
    ) -> Conv:
        """A convolution; as in torch's networks its padding is half the kernel, unless another is given."""
        if padding is None:
            padding = kernel // 2 if isinstance(kernel, int) else tuple((k // 2, k // 2) for k in kernel)
        return Conv(
            in_features,
            features,
            kernel,
            axes=self.axes,
            stride=stride,
            padding=padding,
            groups=groups,
            bias=bias,
            init=self.init,
        )

    def norm(self, features: int) -> nnx.Module | None:
        return NORMALIZATIONS[self.normalization](features, self.epsilon, self.momentum)

    def act(self) -> nnx.Module:
        return ACTIVATIONS[self.activation]()

    def conv_norm_act(
        self, in_features: int, features: int, kernel: PerAxis, *, stride: PerAxis = 1, groups: int = 1
    ) -> Sequential:
        """Convolution without bias, normalisation, activation: `conv`, `norm`, `act`."""
        conv = self.conv(in_features, features, kernel, stride=stride, groups=groups, bias=self.bias)
        return Sequential({"conv": conv, "norm": self.norm(features), "act": self.act()})


def dropout(rate: float) -> Dropout | None:
    """A dropout layer, none where the rate is 0."""
    return Dropout(rate) if rate else None


def round_channels(channels: float, *, least: float = 0.9) -> int:
    """The nearest multiple of 8, from 8 on; the next one where that is less than the share `least` of `channels`."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < least * channels else rounded


def map_axes(input_shape: tuple[int, ...], *allowed: int) -> int:
    """The number of spatial axes of an input [*space, channel]. Raises ShapeError for one that is not `allowed`."""
    axes = spatial_axes((1, *input_shape))
    if axes not in allowed:
        raise ShapeError(
            f"takes {' or '.join(map(str, allowed))} spatial axes, and the input has {axes}",
            hint="give it images, [height, width, channels]",
        )
    return axes
