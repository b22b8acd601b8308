"""What a spec's `optimizer` may say."""

from typing import TYPE_CHECKING, Annotated, Literal, Union

from pydantic import Discriminator, Field, Tag

from cnnlab.spec.schedules import SCHEDULES, Cosine, Schedule, schedule_tag
from cnnlab.spec.types import Bool, Frozen, NonNegativeFloat, PositiveFloat, PositiveInt, Rate, Str


class Lookahead(Frozen):
    """Slow weights that follow the optimizer's, and to which it returns (Zhang et al. 2019)."""

    steps: PositiveInt = Field(default=5, description="of the optimizer between two of the slow weights")
    rate: PositiveFloat = Field(default=0.5, le=1, description="share of the way that the slow weights take")


class OptimizerSpec(Frozen):
    if TYPE_CHECKING:
        learning_rate: float | Schedule = Cosine()
    else:
        learning_rate: Annotated[
            Union[
                (
                    Annotated[PositiveFloat, Tag("number")],
                    *(Annotated[cls, Tag(cls.tags[0])] for cls in SCHEDULES),
                )
            ],
            Discriminator(schedule_tag),
        ] = Cosine()
    weight_decay: NonNegativeFloat = Field(default=0.0, description="on weights; not on biases and normalisation")
    clip_value: PositiveFloat | None = Field(default=None, description="largest entry of the gradient, either sign")
    clip_norm: PositiveFloat | None = Field(default=None, description="largest norm of the whole gradient")
    accumulate: PositiveInt = Field(
        default=1, description="batches whose mean gradient makes an update; an epoch's last may be of fewer"
    )
    lookahead: Lookahead | None = None
    layer_rates: dict[Str, NonNegativeFloat] = Field(
        default={}, description="factors on the learning rate by path or pattern of layers; the last match counts"
    )


class SGD(OptimizerSpec):
    tags = ("sgd",)
    name: Literal["sgd"]


class Momentum(OptimizerSpec):
    """heavy_ball: v = momentum v + g; average: v = momentum v + (1 - momentum) g, which takes larger rates."""

    tags = ("momentum",)
    name: Literal["momentum"]
    momentum: Rate = 0.9
    form: Literal["heavy_ball", "average"] = "heavy_ball"
    nesterov: Bool = False


class AdaGrad(OptimizerSpec):
    tags = ("adagrad",)
    name: Literal["adagrad"]
    initial: NonNegativeFloat = Field(default=0.0, description="of the sum of squares")
    epsilon: PositiveFloat = Field(default=1e-10, description="under the root")


class RMSProp(OptimizerSpec):
    tags = ("rmsprop",)
    name: Literal["rmsprop"]
    decay: Rate = 0.9
    epsilon: PositiveFloat = 1e-8
    centered: Bool = Field(default=False, description="by the variance, not the mean square")
    momentum: Rate = 0.0


class Moments(OptimizerSpec):
    """What those with means of the gradient and of its square have."""

    beta1: Rate = 0.9
    beta2: Rate = 0.999
    epsilon: PositiveFloat = 1e-8


class Adam(Moments):
    tags = ("adam",)
    name: Literal["adam"]


class AdamW(Moments):
    tags = ("adamw",)
    name: Literal["adamw"] = "adamw"
    weight_decay: NonNegativeFloat = Field(default=0.01, description="on weights; not on biases and normalisation")


class RAdam(Moments):
    tags = ("radam",)
    name: Literal["radam"]


class Lion(OptimizerSpec):
    """Wants a tenth of AdamW's learning rate, and ten times its decay."""

    tags = ("lion",)
    name: Literal["lion"]
    beta1: Rate = 0.9
    beta2: Rate = 0.99
    weight_decay: NonNegativeFloat = Field(default=0.1, description="on weights; not on biases and normalisation")


class LAMB(Moments):
    tags = ("lamb",)
    name: Literal["lamb"]
    epsilon: PositiveFloat = 1e-6
    weight_decay: NonNegativeFloat = Field(default=0.01, description="on weights; not on biases and normalisation")


class LARS(OptimizerSpec):
    tags = ("lars",)
    name: Literal["lars"]
    momentum: Rate = 0.9
    trust: PositiveFloat = Field(default=0.001, description="length of an update over that of the weights, at rate 1")
    nesterov: Bool = False


class Adafactor(OptimizerSpec):
    """Second moments of a matrix as the product of those of its rows and columns; updates in sizes of the weights."""

    tags = ("adafactor",)
    name: Literal["adafactor"]
    decay_exponent: PositiveFloat = Field(default=0.8, description="second moments decay by 1 - t ** -exponent")
    clip_rms: PositiveFloat = Field(default=1.0, description="largest root mean square of an array's update")
    factor_from: PositiveInt = Field(default=128, description="smallest side of a matrix that is factored")


class Muon(Moments):
    """Orthogonal updates of kernels, [input and window, output] each; biases and normalisation by AdamW."""

    tags = ("muon",)
    name: Literal["muon"]
    momentum: Rate = 0.95
    nesterov: Bool = True
    iterations: PositiveInt = Field(default=5, description="of Newton and Schulz")
    rms: PositiveFloat = Field(default=0.2, description="of an update at rate 1: 0.2 is about AdamW's")
    weight_decay: NonNegativeFloat = Field(default=0.01, description="on weights; not on biases and normalisation")


OPTIMIZERS: tuple[type[OptimizerSpec], ...] = (
    SGD,
    Momentum,
    AdaGrad,
    RMSProp,
    Adam,
    AdamW,
    RAdam,
    Lion,
    LAMB,
    LARS,
    Adafactor,
    Muon,
)
