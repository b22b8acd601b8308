"""The vocabulary of `layers:`: the layers made of layers, the one table of all words, and how an entry is read.

An entry is a bare name (`relu`), a name with its one value (`max_pool: 2`), or a name with its keys
(`conv: {features: 32, kernel: 3}`). Any entry may carry a `name`, among its keys or beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Union

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, WrapSerializer
from pydantic_core import PydanticCustomError

from cnnlab.spec.layers import (
    ActivationName,
    AvgPool,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    DepthwiseConv,
    Dropout,
    Elu,
    Flatten,
    Gelu,
    GlobalAvgPool,
    GlobalMaxPool,
    GroupNorm,
    Identity,
    InstanceNorm,
    LayerNorm,
    LayerSpec,
    LeakyRelu,
    MaxPool,
    Pad,
    Relu,
    SeparableConv,
    Sigmoid,
    Softmax,
    Softplus,
    Swish,
    Tanh,
    Upsample,
    words_or,
)
from cnnlab.spec.types import PositiveInt


def _not_empty(layers: tuple[Any, ...]) -> tuple[Any, ...]:
    if not layers:
        raise PydanticCustomError("empty", "must hold at least one layer")
    return layers


class Residual(LayerSpec, kind="residual"):
    short: ClassVar[str | None] = "body"
    body: Layers
    if TYPE_CHECKING:
        shortcut: Literal["identity"] | Layers = "identity"
    else:
        shortcut: words_or(Literal["identity"], Layers, "a list of layers") = "identity"
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
