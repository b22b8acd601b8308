"""What a spec's `optimizer` may say."""

from typing import TYPE_CHECKING, Annotated, Literal, Union

from pydantic import Discriminator, Field, Tag

from cnnlab.spec.schedules import Constant, Cosine, Schedule, Step, schedule_tag
from cnnlab.spec.types import Bool, Frozen, NonNegativeFloat, PositiveFloat, Rate, Str


class OptimizerSpec(Frozen):
    if TYPE_CHECKING:
        learning_rate: float | Schedule = Cosine()
    else:
        learning_rate: Annotated[
            Union[
                Annotated[PositiveFloat, Tag("number")],
                Annotated[Constant, Tag("constant")],
                Annotated[Step, Tag("step")],
                Annotated[Cosine, Tag("cosine")],
            ],
            Discriminator(schedule_tag),
        ] = Cosine()
    weight_decay: NonNegativeFloat = Field(default=0.0, description="on weights; not on biases and normalisation")
    clip_norm: PositiveFloat | None = Field(default=None, description="largest norm of the whole gradient")
    layer_rates: dict[Str, NonNegativeFloat] = Field(
        default={}, description="factors on the learning rate by path or pattern of layers; the last match counts"
    )


class SGD(OptimizerSpec):
    tags = ("sgd",)
    name: Literal["sgd"]


class Momentum(OptimizerSpec):
    tags = ("momentum",)
    name: Literal["momentum"]
    momentum: Rate = 0.9
    nesterov: Bool = False


class Adam(OptimizerSpec):
    tags = ("adam",)
    name: Literal["adam"]
    beta1: Rate = 0.9
    beta2: Rate = 0.999
    epsilon: PositiveFloat = 1e-8


class AdamW(OptimizerSpec):
    tags = ("adamw",)
    name: Literal["adamw"] = "adamw"
    beta1: Rate = 0.9
    beta2: Rate = 0.999
    epsilon: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = Field(default=0.01, description="on weights; not on biases and normalisation")
