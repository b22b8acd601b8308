"""How a spec says what weights are drawn by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from cnnlab.spec.types import Float, Frozen, words_or


class ConstantInit(Frozen):
    """Every weight the same."""

    constant: Float


InitName = Literal[
    "xavier_normal",
    "xavier_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "orthogonal",
]


def _constant(value: Any) -> Any:
    if not isinstance(value, dict | ConstantInit):
        raise PydanticCustomError("init", "must be the name of a rule, or {constant: 0.1}")
    return value


if TYPE_CHECKING:
    InitRule = InitName | ConstantInit
else:
    InitRule = words_or(InitName, Annotated[ConstantInit, BeforeValidator(_constant)], "a mapping {constant: 0.1}")
Init = Annotated[InitRule | None, Field(description="of the weights; default: model.init, else the layer's own")]
