"""The vocabulary of `layers:`: what each entry may say, and the one table of them.

An entry is a bare name (`relu`), a name with its one value (`max_pool: 2`), or a name with its keys
(`conv: {features: 32, kernel: 3}`). Any entry may carry a `name`, among its keys or beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Union

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, WrapSerializer
from pydantic_core import PydanticCustomError

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


def _not_empty(layers: tuple[Any, ...]) -> tuple[Any, ...]:
    if not layers:
        raise PydanticCustomError("empty", "must hold at least one layer")
    return layers


def _words(words: Any, values: Any, what: str) -> Any:
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


class ConvTranspose(Windowed, kind="conv_transpose"):
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
        features: _words(Literal["classes"], PositiveInt, "a whole number")
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


class Residual(LayerSpec, kind="residual"):
    short: ClassVar[str | None] = "body"
    body: Layers
    if TYPE_CHECKING:
        shortcut: Literal["identity"] | Layers = "identity"
    else:
        shortcut: _words(Literal["identity"], Layers, "a list of layers") = "identity"
    activation: ActivationName | None = Field(default=None, description="after the sum")


class Branches(LayerSpec, kind="branches"):
    short: ClassVar[str | None] = "lists"
    join: Literal["concat", "add"] = "concat"
    lists: Annotated[tuple[Layers, ...], AfterValidator(_not_empty)]


class Repeat(LayerSpec, kind="repeat"):
    times: PositiveInt
    layers: Layers


_CLASSES = (
    Conv, ConvTranspose, DepthwiseConv, SeparableConv, MaxPool, AvgPool, GlobalAvgPool, GlobalMaxPool, Flatten,
    BatchNorm, LayerNorm, InstanceNorm, GroupNorm, Dropout, Dense, Upsample, Pad, Identity, Relu, LeakyRelu, Elu,
    Gelu, Sigmoid, Tanh, Softplus, Swish, Softmax, Residual, Branches, Repeat,
)  # fmt: skip
VOCABULARY: dict[str, type[LayerSpec]] = {cls.kind: cls for cls in _CLASSES}


def kind_of(entry: Any) -> str | None:
    """The word of an entry, None where it is not of the form; pydantic chooses the class by it."""
    if isinstance(entry, LayerSpec):
        return entry.kind
    words = [entry] if isinstance(entry, str) else [k for k in entry if k != "name"] if isinstance(entry, dict) else []
    return str(words[0]) if len(words) == 1 else None


def _settings(entry: Any) -> Any:
    """The keys of an entry, its short form and a `name` beside the word folded in."""
    if isinstance(entry, LayerSpec):
        return entry
    if isinstance(entry, str):
        return {}
    kind = kind_of(entry)
    assert kind is not None, "pydantic asks for settings only after it found the class"
    value, short = entry[kind], VOCABULARY[kind].short
    if value is None:
        value = {}
    if not isinstance(value, dict):
        if short is None:
            raise PydanticCustomError(
                "no_short_form",
                "takes keys ({keys}), not the bare value {value}",
                {"keys": ", ".join(VOCABULARY[kind].model_fields), "value": repr(value)},
            )
        value = {short: value}
    if "name" in entry:
        if "name" in value:
            raise PydanticCustomError("two_names", "has two names, one inside and one beside it")
        value = {**value, "name": entry["name"]}
    return value


def _as_written(layer: LayerSpec, handler: Any) -> Any:
    settings = {key: value for key, value in handler(layer).items() if value is not None}
    return {layer.kind: settings} if settings else layer.kind


class _EntrySchema:
    """The JSON Schema of an entry as people write it, for editors that complete keys."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        variants = handler(core_schema).get("oneOf", [])
        bare = [
            kind for kind, layer in VOCABULARY.items() if not any(f.is_required() for f in layer.model_fields.values())
        ]
        entries = {}
        for (kind, layer), variant in zip(VOCABULARY.items(), variants, strict=True):
            short = [] if layer.short is None else [{"not": {"type": ["object", "null"]}}]
            entries[kind] = {"anyOf": [variant, *short, *([{"type": "null"}] if kind in bare else [])]}
        return {
            "anyOf": [
                {"enum": bare},
                {
                    "type": "object",
                    "properties": {**entries, "name": {"type": "string"}},
                    "additionalProperties": False,
                    "oneOf": [{"required": [kind]} for kind in VOCABULARY],
                },
            ]
        }


if TYPE_CHECKING:
    Layer = LayerSpec
else:
    Layer = Annotated[
        Union[tuple(Annotated[cls, BeforeValidator(_settings), Tag(cls.kind)] for cls in _CLASSES)],
        Discriminator(kind_of, custom_error_type="unknown_layer", custom_error_message="is no layer"),
        WrapSerializer(_as_written),
        _EntrySchema,
    ]
Layers = Annotated[tuple[Layer, ...], AfterValidator(_not_empty)]
for _cls in (Residual, Branches, Repeat):
    _cls.model_rebuild()
