"""What a spec's `optimizer.learning_rate` may say."""

from typing import Annotated, Any, Literal

from pydantic import Field

from cnnlab.spec.types import Frozen, NonNegativeFloat, PositiveFloat, PositiveInt


class Schedule(Frozen):
    peak: PositiveFloat = 0.001
    warmup_epochs: NonNegativeFloat = Field(default=0.0, description="linear from 0 to the peak")


class Constant(Schedule):
    tags = ("constant",)
    schedule: Literal["constant"]


class Step(Schedule):
    """The rate times `factor` after every `every_epochs`, or at each epoch of `at_epochs`."""

    tags = ("step",)
    schedule: Literal["step"]
    every_epochs: PositiveInt | None = None
    at_epochs: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] | None = None
    factor: Annotated[PositiveFloat, Field(lt=1)] = 0.1


class Cosine(Schedule):
    """Half a cosine from the peak to `end` (Loshchilov and Hutter 2017, without restarts)."""

    tags = ("cosine",)
    schedule: Literal["cosine"] = "cosine"
    end: NonNegativeFloat = 0.0
    warmup_epochs: NonNegativeFloat = Field(default=1.0, description="linear from 0 to the peak")


def schedule_tag(value: Any) -> str:
    if isinstance(value, dict):
        return value.get("schedule", "cosine")
    return getattr(value, "schedule", "number")
