"""What a spec's `optimizer.learning_rate` may say."""

from typing import Annotated, Any, Literal

from pydantic import Field

from cnnlab.spec.train import Metric
from cnnlab.spec.types import Frozen, NonNegativeFloat, PositiveFloat, PositiveInt


class Schedule(Frozen):
    peak: PositiveFloat = 0.001


class WarmedUp(Schedule):
    """What may follow a warm-up."""

    warmup_epochs: NonNegativeFloat = Field(default=0.0, description="linear from 0 to the peak")


class Constant(WarmedUp):
    tags = ("constant",)
    schedule: Literal["constant"]


class Step(WarmedUp):
    """The rate times `factor` after every `every_epochs`, or at each epoch of `at_epochs`."""

    tags = ("step",)
    schedule: Literal["step"]
    every_epochs: PositiveInt | None = None
    at_epochs: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] | None = None
    factor: Annotated[PositiveFloat, Field(lt=1)] = 0.1


class Exponential(WarmedUp):
    """peak * factor ** t, with t in epochs."""

    tags = ("exponential",)
    schedule: Literal["exponential"]
    factor: Annotated[PositiveFloat, Field(lt=1)] = Field(default=0.9, description="an epoch")


class Polynomial(WarmedUp):
    """end + (peak - end) * (1 - t / T) ** power: with the power 1 a straight line to the last step."""

    tags = ("polynomial",)
    schedule: Literal["polynomial"]
    power: PositiveFloat = 1.0
    end: NonNegativeFloat = 0.0


class Inverse(WarmedUp):
    """peak / (1 + mu * t), with t in epochs (Robbins and Monro 1951)."""

    tags = ("inverse",)
    schedule: Literal["inverse"]
    mu: PositiveFloat = 1.0


class Cosine(WarmedUp):
    """Half a cosine from the peak to `end` (Loshchilov and Hutter 2017, without restarts)."""

    tags = ("cosine",)
    schedule: Literal["cosine"] = "cosine"
    end: NonNegativeFloat = 0.0
    warmup_epochs: NonNegativeFloat = Field(default=1.0, description="linear from 0 to the peak")


class WarmRestarts(WarmedUp):
    """Half a cosine from the peak to `end`, again and again, each `growth` times as long (SGDR, the same paper)."""

    tags = ("warm_restarts",)
    schedule: Literal["warm_restarts"]
    first_epochs: PositiveFloat = Field(default=10.0, description="of the first cycle")
    growth: PositiveFloat = Field(default=1.0, ge=1, description="length of a cycle over that of the one before")
    end: NonNegativeFloat = 0.0


class OneCycle(Schedule):
    """Up to the peak and down to almost nothing, by half a cosine each (Smith and Topin 2018)."""

    tags = ("one_cycle",)
    schedule: Literal["one_cycle"]
    rise: PositiveFloat = Field(default=0.3, lt=1, description="share of the training in which the rate rises")
    start_share: PositiveFloat = Field(default=0.04, le=1, description="first rate over the peak")
    end_share: PositiveFloat = Field(default=4e-6, le=1, description="last rate over the peak")


class Plateau(WarmedUp):
    """The rate times `factor` whenever `patience` epochs have brought nothing better."""

    tags = ("plateau",)
    schedule: Literal["plateau"]
    metric: Metric = "validation/loss"
    factor: Annotated[PositiveFloat, Field(lt=1)] = 0.1
    patience: PositiveInt = 5
    min_delta: NonNegativeFloat = Field(default=0.0, description="a smaller gain does not count as better")
    smallest: NonNegativeFloat = Field(default=0.0, description="the rate does not fall below")


SCHEDULES: tuple[type[Schedule], ...] = (
    Constant,
    Step,
    Exponential,
    Polynomial,
    Inverse,
    Cosine,
    WarmRestarts,
    OneCycle,
    Plateau,
)


def schedule_tag(value: Any) -> str:
    if isinstance(value, dict):
        return value.get("schedule", "cosine")
    return getattr(value, "schedule", "number")
