"""The scalar types of the schema: strict, so that `"3"` is no number and `true` is no 1."""

from typing import Annotated, Any, ClassVar, Literal, Union

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Strict, Tag
from pydantic_core import PydanticCustomError, PydanticKnownError

Int = Annotated[int, Strict()]
PositiveInt = Annotated[int, Strict(), Field(ge=1)]
NonNegativeInt = Annotated[int, Strict(), Field(ge=0)]
Bool = Annotated[bool, Strict()]
Str = Annotated[str, Strict(), Field(min_length=1)]
Float = Annotated[float, Strict(), Field(allow_inf_nan=False)]
PositiveFloat = Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Strict(), Field(ge=0, le=1, allow_inf_nan=False)]
Rate = Annotated[float, Strict(), Field(ge=0, lt=1, allow_inf_nan=False)]
Name = Annotated[str, Strict(), Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


def whole_number(value: Any) -> int:
    """For a Literal of numbers, which by itself takes `true` and 1.0 for 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise PydanticKnownError("int_type")
    return value


def words_or(words: Any, values: Any, what: str) -> Any:
    """One of some words, or another value, of which messages say `what` it is.

    Text is held against the words alone, so that one slip is one error.
    """
    return Annotated[
        Union[Annotated[words, Tag(what)], Annotated[values, Tag("value")]],
        Discriminator(lambda value: what if isinstance(value, str) else "value"),
    ]


class Frozen(BaseModel):
    """Base of the schema: no unknown keys, no change after reading.

    `tags` are the values that choose this class where several are possible (`name: adamw`); they show the
    reader of errors which class a key was looked up in.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
    tags: ClassVar[tuple[str, ...]] = ()


def whole_per_axis(smallest: int, wanted: str) -> BeforeValidator:
    """For int | tuple[int, ...]: one to three whole numbers."""

    def check(value: Any) -> Any:
        values = value if isinstance(value, list | tuple) else [value]
        good = all(isinstance(v, int) and not isinstance(v, bool) and v >= smallest for v in values)
        if not good or not 1 <= len(values) <= 3:
            raise PydanticCustomError("per_axis", "must be {wanted}", {"wanted": wanted})
        return tuple(value) if isinstance(value, list) else value

    return BeforeValidator(check, json_schema_input_type=int | list[int])


PerAxis = Annotated[
    int | tuple[int, ...],
    whole_per_axis(1, "a whole number from 1, or a list of one per axis"),
    Field(json_schema_extra={"minimum": 1}),
]


def _range(least: float, greatest: float, kinds: Any, words: str):
    wanted = f"must be {words} from {least:g} to {greatest:g}, or [low, high] of such"

    def check(value: Any) -> Any:
        pair = tuple(value) if isinstance(value, list | tuple) else (value, value)
        good = all(isinstance(v, kinds) and not isinstance(v, bool) and least <= v <= greatest for v in pair)
        if len(pair) != 2 or not good or pair[0] > pair[1]:
            raise PydanticCustomError("range", wanted)  # type: ignore[arg-type]
        return pair

    return check


def whole_range(least: int, greatest: int) -> BeforeValidator:
    """For tuple[int, int]: a whole number stands for both ends."""
    check = _range(least, greatest, int, "a whole number")
    return BeforeValidator(check, json_schema_input_type=int | tuple[int, int])


def number_range(least: float, greatest: float) -> BeforeValidator:
    """For tuple[float, float]: a number stands for both ends."""
    return BeforeValidator(
        _range(least, greatest, (int, float), "a number"), json_schema_input_type=float | tuple[float, float]
    )


def _padding(value: Any) -> Any:
    def number(v: Any) -> bool:
        return isinstance(v, int) and not isinstance(v, bool) and v >= 0

    if value in ("same", "valid", "ceil") or number(value):
        return value
    if isinstance(value, list | tuple) and value:
        if all(number(v) for v in value):
            return tuple((v, v) for v in value)
        pairs = [p for p in value if isinstance(p, list | tuple) and len(p) == 2 and all(map(number, p))]
        if len(pairs) == len(value):
            return tuple((low, high) for low, high in pairs)
    raise PydanticCustomError(
        "padding", "must be same, valid, ceil, a whole number, or a list of [before, after] per axis"
    )


Padding = Annotated[
    str | int | tuple[tuple[int, int], ...],
    BeforeValidator(
        _padding, json_schema_input_type=Literal["same", "valid", "ceil"] | int | list[int] | list[list[int]]
    ),
]
