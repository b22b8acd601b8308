"""How a spec weighs classes, for `data.sampling` and `loss.class_weights`: evenly, or each by a number."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from cnnlab.spec.types import PositiveFloat

BALANCED = "balanced"


def _weights(value: Any) -> Any:
    if value == BALANCED:
        return value
    if not isinstance(value, dict) or not value:
        raise PydanticCustomError("class_weights", "must be balanced, or a weight for each class that is named")
    for name, weight in value.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 < weight < float("inf"):
            found = {"name": str(name), "weight": str(weight)}
            raise PydanticCustomError("class_weight", "the weight of '{name}' must be above 0, not {weight}", found)
    return {str(name): float(weight) for name, weight in value.items()}  # a class called 5 may be written as a number


# Classes that are not named have the weight 1.
ClassWeights = Annotated[Literal["balanced"] | dict[str, PositiveFloat], BeforeValidator(_weights)]
