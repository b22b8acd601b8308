"""The vocabulary of `layers:`: the layers made of layers, the one table of all words, and how an entry is read.

An entry is a bare name (`relu`), a name with its one value (`max_pool: 2`), or a name with its keys
(`conv: {features: 32, kernel: 3}`). Any entry may carry a `name`, among its keys or beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Union

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, WrapSerializer
from pydantic_core import PydanticCustomError

from cnnlab.spec import activations
from cnnlab.spec import layers as single
from cnnlab.spec.activations import ActivationName
from cnnlab.spec.layer import LayerSpec
from cnnlab.spec.types import PositiveInt, words_or


def _not_empty(layers: tuple[Any, ...]) -> tuple[Any, ...]:
    if not layers:
        raise PydanticCustomError("empty", "must hold at least one layer")
    return layers


class Residual(LayerSpec, kind="residual"):
    """The body's output plus the shortcut's (He, Zhang, Ren and Sun 2016)."""

    short: ClassVar[str | None] = "body"
    body: Layers
    if TYPE_CHECKING:
        shortcut: Literal["identity", "projection"] | Layers = "identity"
    else:
        shortcut: words_or(Literal["identity", "projection"], Layers, "a list of layers") = Field(
            default="identity",
            description="projection: a 1x1 convolution with the body's features and stride, without bias and without "
            "normalisation; a list of layers for any other",
        )
    activation: ActivationName | None = Field(default=None, description="after the sum")


class Branches(LayerSpec, kind="branches"):
    """The same input through several lists of layers, side by side."""

    short: ClassVar[str | None] = "lists"
    join: Literal["concat", "add"] = Field(default="concat", description="over channels, or as a sum")
    lists: Annotated[tuple[Layers, ...], AfterValidator(_not_empty)]


class CropConcat(LayerSpec, kind="crop_concat"):
    """The input, cropped to the size of the body's output, and that output, joined over channels (U-Net)."""

    short: ClassVar[str | None] = "body"
    body: Layers


class Repeat(LayerSpec, kind="repeat"):
    times: PositiveInt
    layers: Layers


_CLASSES = (
    single.Conv, single.ConvTranspose, single.DepthwiseConv, single.SeparableConv, single.SpatiallySeparableConv,
    single.Dense, single.SqueezeExcite,
    single.MaxPool, single.AvgPool, single.AdaptiveMaxPool, single.AdaptiveAvgPool, single.GlobalMaxPool,
    single.GlobalAvgPool, single.SpatialPyramidPool, single.Flatten, single.Upsample, single.Pad,
    single.BatchNorm, single.LayerNorm, single.InstanceNorm, single.GroupNorm,
    single.Dropout, single.SpatialDropout, single.StochasticDepth,
    activations.Identity, activations.HardThreshold, activations.Relu, activations.LeakyRelu,
    activations.Prelu, activations.Elu, activations.Gelu, activations.Sigmoid, activations.Tanh,
    activations.ScaledTanh, activations.Softplus, activations.Swish, activations.Sine, activations.Softmax,
    Residual, Branches, CropConcat, Repeat,
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
for _cls in (Residual, Branches, CropConcat, Repeat):
    _cls.model_rebuild()
