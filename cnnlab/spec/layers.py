"""The single layers of `layers:`: the keys of each, their types and defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Union

from pydantic import Discriminator, Field, Tag

from cnnlab.spec.types import (
    Bool,
    Frozen,
    Name,
    NonNegativeFloat,
    Padding,
    PerAxis,
    PositiveFloat,
    PositiveInt,
    Rate,
)


def words_or(words: Any, values: Any, what: str) -> Any:
    """One of some words, or another value, of which messages say `what` it is.

    Text is held against the words alone, so that one slip is one error.
    """
    return Annotated[
        Union[Annotated[words, Tag(what)], Annotated[values, Tag("value")]],
        Discriminator(lambda value: what if isinstance(value, str) else "value"),
    ]


class LayerSpec(Frozen):
    """One entry of `layers:`. `kind` is its word, `short` the key that a bare value stands for."""

    kind: ClassVar[str]
    short: ClassVar[str | None] = None
    name: Name | None = Field(default=None, description="the layer's name in tables; else its kind and position")

    def __init_subclass__(cls, kind: str = "", **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if kind:
            cls.kind, cls.tags = kind, (kind,)


class Windowed(LayerSpec):
    """What the convolutions share."""

    features: PositiveInt = Field(description="output channels")
    kernel: PerAxis
    stride: PerAxis = 1
    padding: Padding = "same"
    dilation: PerAxis = 1
    bias: Bool = True


class Conv(Windowed, kind="conv"):
    groups: PositiveInt = 1


class ConvTranspose(Conv, kind="conv_transpose"):
    """The gradient of a convolution with respect to its input, as a layer."""


class DepthwiseConv(LayerSpec, kind="depthwise_conv"):
    """Each channel by itself: `features` is a multiple of the input's channels (default: as many)."""

    features: PositiveInt | None = None
    kernel: PerAxis
    stride: PerAxis = 1
    padding: Padding = "same"
    dilation: PerAxis = 1
    bias: Bool = True


class SeparableConv(Windowed, kind="separable_conv"):
    """A depthwise convolution, then a 1x1 to `features` channels."""


class Pool(LayerSpec):
    short: ClassVar[str | None] = "window"
    window: PerAxis
    stride: PerAxis | None = Field(default=None, description="default: the window")
    padding: Padding = "valid"


class MaxPool(Pool, kind="max_pool"):
    pass


class AvgPool(Pool, kind="avg_pool"):
    """Padded positions do not count in the average."""


class GlobalAvgPool(LayerSpec, kind="global_avg_pool"):
    pass


class GlobalMaxPool(LayerSpec, kind="global_max_pool"):
    pass


class Flatten(LayerSpec, kind="flatten"):
    pass


class Norm(LayerSpec):
    epsilon: PositiveFloat = 1e-5


class BatchNorm(Norm, kind="batch_norm"):
    momentum: Rate = Field(default=0.9, description="share of the old in the running statistics (torch: 0.1)")


class LayerNorm(Norm, kind="layer_norm"):
    """Over space and channels of each example (Ba, Kiros and Hinton 2016)."""


class InstanceNorm(Norm, kind="instance_norm"):
    pass


class GroupNorm(Norm, kind="group_norm"):
    short: ClassVar[str | None] = "groups"
    groups: PositiveInt = 32


class Dropout(LayerSpec, kind="dropout"):
    short: ClassVar[str | None] = "rate"
    rate: Rate = 0.5


class Dense(LayerSpec, kind="dense"):
    short: ClassVar[str | None] = "features"
    if TYPE_CHECKING:
        features: int | Literal["classes"]
    else:
        features: words_or(Literal["classes"], PositiveInt, "a whole number")
    bias: Bool = True


class Upsample(LayerSpec, kind="upsample"):
    short: ClassVar[str | None] = "factor"
    factor: PerAxis = 2
    method: Literal["nearest", "bilinear"] = "nearest"


class Pad(LayerSpec, kind="pad"):
    short: ClassVar[str | None] = "padding"
    padding: Padding
    mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros"


ActivationName = Literal["identity", "relu", "leaky_relu", "elu", "gelu", "sigmoid", "tanh", "softplus", "swish"]


class Activation(LayerSpec):
    pass


class Identity(Activation, kind="identity"):
    pass


class Relu(Activation, kind="relu"):
    pass


class LeakyRelu(Activation, kind="leaky_relu"):
    short: ClassVar[str | None] = "slope"
    slope: NonNegativeFloat = 0.01


class Elu(Activation, kind="elu"):
    pass


class Gelu(Activation, kind="gelu"):
    pass


class Sigmoid(Activation, kind="sigmoid"):
    pass


class Tanh(Activation, kind="tanh"):
    pass


class Softplus(Activation, kind="softplus"):
    pass


class Swish(Activation, kind="swish"):
    pass


class Softmax(Activation, kind="softmax"):
    pass
