"""What a spec's `data.split` may say: which examples train, validate and test."""

import math
import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from cnnlab.spec.types import Bool, Frozen, Int, NonNegativeInt, PositiveInt, Str

Amount = int | float | str
REST = "rest"


def _amount(smallest: str, fits: Callable[[float], bool]) -> BeforeValidator:
    message = f"must be a share {smallest}, a number of examples, {REST}, or a file of names"

    def check(value: Any) -> Any:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        good = fits(value) and math.isfinite(value) if number else isinstance(value, str) and value
        if not good:
            raise PydanticCustomError("amount", message)  # pyright: ignore[reportArgumentType]  (no literal)
        return value

    return BeforeValidator(check)


def _pattern(text: str) -> str:
    try:
        groups = re.compile(text).groups
    except re.error as error:
        message = "is no regular expression: {error}"
        raise PydanticCustomError("pattern", message, {"error": str(error)}) from None
    if groups != 1:
        raise PydanticCustomError("pattern", "must have one group in (), and has {groups}", {"groups": groups})
    return text


class Split(Frozen):
    """Shares that add up to 1, numbers of examples, or files that name them; `rest` is what the others leave.

    Or `folds`: the train examples in so many parts, of which one validates; or `column`, where a table says it all.
    What is drawn is stratified by class; identical examples, and those of one group, stay together.
    """

    train: Annotated[Amount, _amount("above 0", lambda number: number > 0)] | None = Field(
        default=None, description="a share, a number of examples, rest, or a file with a name or an index a line"
    )
    validation: Annotated[Amount, _amount("from 0", lambda number: number >= 0)] = 0.0
    test: Annotated[Amount, _amount("from 0", lambda number: number >= 0)] = 0.0
    unused: Literal["rest"] | None = Field(default=None, description="rest: what no split takes is left out")
    column: Str | None = Field(default=None, description="of a table: train, validation (or val) or test in each row")
    folds: Annotated[Int, Field(ge=2)] | None = Field(
        default=None, description="each example that is not for test validates in one of so many folds"
    )
    fold: PositiveInt | None = Field(default=None, description="the one that validates, from 1; or train --fold 1")
    stratify: Bool = Field(default=True, description="each class by the same shares")
    group: Annotated[Str, AfterValidator(_pattern)] | None = Field(
        default=None, description="a regular expression; files in whose names its one group is equal stay together"
    )
    seed: NonNegativeInt | None = Field(default=None, description="default: the experiment's seed")

    @property
    def amounts(self) -> dict[str, Amount]:
        """What "train", "validation", "test" and "unused" are to get, those that get nothing left out."""
        given = {"train": self.train, "validation": self.validation, "test": self.test, "unused": self.unused}
        return {name: amount for name, amount in given.items() if amount not in (None, 0)}  # type: ignore[misc]

    def with_paths(self, absolute: Callable[[str], str]) -> "Split":
        """The same with each file's path as `absolute` gives it."""
        paths = {name: absolute(str(value)) for name, value in self.amounts.items() if is_file(value)}
        return self.model_copy(update=paths)


def is_file(amount: Amount) -> bool:
    return isinstance(amount, str) and amount != REST


def kind_of(amounts: Iterable[Amount]) -> Literal["files", "counts", "shares"]:
    """What the amounts are: names of files; numbers of examples, where one is above 1; else shares of the whole."""
    stated = [amount for amount in amounts if amount != REST]
    if any(isinstance(amount, str) for amount in stated):
        return "files"
    return "counts" if any(not isinstance(amount, str) and amount > 1 for amount in stated) else "shares"
