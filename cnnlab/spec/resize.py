"""What a spec may say of the size of its examples."""

from typing import Annotated, Any, Self, Union

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from cnnlab.spec.types import Frozen, PositiveInt, whole_per_axis


class KeepAspect(Frozen):
    """One side's size, and the other ones' in proportion. The example is a square (a cube) of that side: of `shorter`
    the middle, of `longer` the whole with black around it."""

    shorter: PositiveInt | None = Field(
        default=None, description="size of the shortest side; what the others have more is cut off evenly"
    )
    longer: PositiveInt | None = Field(
        default=None, description="size of the longest side; what the others have less is black, in masks 255"
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.shorter is None) == (self.longer is None):
            raise PydanticCustomError("one_side", "takes shorter or longer, one of them")
        return self

    @property
    def side(self) -> int:
        """The one that is given."""
        return self.shorter or self.longer or 0


Size = Annotated[
    int | tuple[int, ...],
    whole_per_axis(1, "a whole number from 1, a list of one per axis, {shorter: 256} or {longer: 256}"),
    Field(json_schema_extra={"minimum": 1}),
]


def _kind(value: Any) -> str:
    return "aspect" if isinstance(value, dict | KeepAspect) else "size"


Resize = Annotated[
    Union[Annotated[Size, Tag("size")], Annotated[KeepAspect, Tag("aspect")]],
    Discriminator(_kind),
]
