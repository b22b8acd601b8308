"""The single layers of `layers:` but the activations: the keys of each, their types and defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from cnnlab.spec.activations import ActivationName
from cnnlab.spec.init import Init
from cnnlab.spec.layer import LayerSpec, word
from cnnlab.spec.types import Bool, Padding, PerAxis, PositiveFloat, PositiveInt, Rate, words_or

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]

# ---------------------------------------------------------------- with weights


class Featured(LayerSpec):
    features: PositiveInt = Field(description="output channels")


class Convolution(LayerSpec):
    """What all convolutions share."""

    kernel: PerAxis
    stride: PerAxis = 1
    padding: Padding = "same"
    dilation: PerAxis = 1
    bias: Bool = True
    init: Init = None


class PaddedConvolution(Convolution):
    padding_mode: PaddingMode = Field(default="zeros", description="what stands beyond the border")


class Conv(PaddedConvolution, Featured, kind="conv"):
    groups: PositiveInt = 1


class ConvTranspose(Convolution, Featured, kind="conv_transpose"):
    """The gradient of a convolution with respect to its input, as a layer."""

    groups: PositiveInt = 1


class DepthwiseConv(PaddedConvolution, kind="depthwise_conv"):
    """Each channel by itself."""

    features: PositiveInt | None = Field(
        default=None, description="a multiple of the input's channels; default: as many"
    )


class SeparableConv(PaddedConvolution, Featured, kind="separable_conv"):
    """A depthwise convolution, then a 1x1 to `features` channels."""


class SpatiallySeparableConv(PaddedConvolution, Featured, kind="spatially_separable_conv"):
    """A convolution along each axis: k x 1, then 1 x k."""


class Dense(LayerSpec, kind="dense"):
    short: ClassVar[str | None] = "features"
    if TYPE_CHECKING:
        features: int | Literal["classes"]
    else:
        features: words_or(Literal["classes"], PositiveInt, "a whole number")
    bias: Bool = True
    init: Init = None


class SqueezeExcite(LayerSpec, kind="squeeze_excite"):
    """The map times a gate for each channel, made from the channels' means (Hu, Shen and Sun 2018)."""

    short: ClassVar[str | None] = "reduction"
    reduction: PositiveInt = Field(default=16, description="channels over hidden units, of which there is one at least")
    activation: ActivationName = "relu"
    init: Init = None


# ---------------------------------------------------------------- pooling and size


class Pool(LayerSpec):
    short: ClassVar[str | None] = "window"
    window: PerAxis
    stride: PerAxis | None = Field(default=None, description="default: the window")
    padding: Padding = "valid"


class MaxPool(Pool, kind="max_pool"):
    """The largest value of each window."""


class AvgPool(Pool, kind="avg_pool"):
    """The mean of each window; padded positions do not count."""


class AdaptivePool(LayerSpec):
    short: ClassVar[str | None] = "size"
    size: PerAxis = Field(description="of the output, whatever the input's is")


class AdaptiveMaxPool(AdaptivePool, kind="adaptive_max_pool"):
    """The largest value of each of `size` windows that cover the map."""


class AdaptiveAvgPool(AdaptivePool, kind="adaptive_avg_pool"):
    """The mean of each of `size` windows that cover the map."""


GlobalMaxPool = word("global_max_pool", "The maximum over space: a vector.", __name__)
GlobalAvgPool = word("global_avg_pool", "The mean over space: a vector.", __name__)


class SpatialPyramidPool(LayerSpec, kind="spatial_pyramid_pool"):
    """Adaptive pools of several sizes in one vector, whose length no input changes (He et al. 2014)."""

    short: ClassVar[str | None] = "levels"
    levels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = Field(
        default=(1, 2, 4), description="positions along every axis"
    )
    method: Literal["max", "avg"] = "max"


Flatten = word("flatten", "All of the map as a vector, channels fastest.", __name__)


class Upsample(LayerSpec, kind="upsample"):
    short: ClassVar[str | None] = "factor"
    factor: PerAxis = 2
    method: Literal["nearest", "bilinear"] = "nearest"


class Pad(LayerSpec, kind="pad"):
    short: ClassVar[str | None] = "padding"
    padding: Padding
    mode: PaddingMode = "zeros"


# ---------------------------------------------------------------- normalisation and dropout


class Norm(LayerSpec):
    epsilon: PositiveFloat = 1e-5


class BatchNorm(Norm, kind="batch_norm"):
    momentum: Rate = Field(default=0.9, description="share of the old in the running statistics (torch: 0.1)")


class LayerNorm(Norm, kind="layer_norm"):
    """Over space and channels of each example (Ba, Kiros and Hinton 2016)."""


class InstanceNorm(Norm, kind="instance_norm"):
    """Over space of each example, channel by channel (Ulyanov, Vedaldi and Lempitsky 2016)."""


class GroupNorm(Norm, kind="group_norm"):
    short: ClassVar[str | None] = "groups"
    groups: PositiveInt = 32


class Dropped(LayerSpec):
    short: ClassVar[str | None] = "rate"
    rate: Rate = Field(default=0.5, description="share that training drops")


class Dropout(Dropped, kind="dropout"):
    """Elements are dropped."""


class SpatialDropout(Dropped, kind="spatial_dropout"):
    """Whole channels are dropped (Tompson et al. 2015)."""


class StochasticDepth(Dropped, kind="stochastic_depth"):
    """Whole examples are dropped: for the end of a residual's body (Huang et al. 2016)."""

    rate: Rate = Field(default=0.2, description="share that training drops")
