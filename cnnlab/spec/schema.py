"""An experiment as frozen data: every key of the YAML, its type, its bounds and its default."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import Discriminator, Field, Tag

from cnnlab.spec.architectures import ARCHITECTURES, Architecture, ModelSpec, architecture_tag, tagged
from cnnlab.spec.data import (
    SOURCES,
    Cifar10,
    Cifar100,
    Csv,
    Digits,
    Gaussians,
    Idx,
    ImageFolder,
    NoData,
    Npy,
    Npz,
    Shapes,
    Sines,
    Spheres,
    Spirals,
    TwoMoons,
)
from cnnlab.spec.types import (
    Bool,
    Frozen,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Rate,
    Str,
)
from cnnlab.spec.vocabulary import Layers

# ---------------------------------------------------------------- model


class LayersModel(ModelSpec):
    """A network of one's own: layers, written out."""

    tags = ("layers",)
    layers: Layers


# ---------------------------------------------------------------- learning


class Loss(Frozen):
    name: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Rate = 0.0


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


def _schedule_tag(value: Any) -> str:
    if isinstance(value, dict):
        return value.get("schedule", "cosine")
    return getattr(value, "schedule", "number")


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
            Discriminator(_schedule_tag),
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


METRICS = ("train/loss", "train/accuracy", "validation/loss", "validation/accuracy", "validation/f1")


class EarlyStopping(Frozen):
    """Stop after `patience` epochs without a better value; the best step is kept by this metric."""

    metric: Literal["train/loss", "train/accuracy", "validation/loss", "validation/accuracy", "validation/f1"] = (
        "validation/loss"
    )
    patience: PositiveInt = 10
    min_delta: NonNegativeFloat = Field(default=0.0, description="a smaller gain does not count as better")


class Train(Frozen):
    epochs: PositiveInt = 30
    remat: Bool = Field(
        default=False,
        description="compute a block's activations again in the backward pass instead of keeping them: less memory, "
        "more time, the same gradients (rematerialisation, gradient checkpointing)",
    )
    early_stopping: EarlyStopping | None = None
    checkpoint_every: PositiveInt | None = Field(
        default=None, description="epochs between checkpoints; default: every epoch, but one in 5 seconds at most"
    )


# ---------------------------------------------------------------- the whole


def _union(classes: tuple[type[Frozen], ...]) -> Any:
    return Union[tuple(Annotated[cls, Tag(cls.tags[0])] for cls in classes)]


def _key_tag(key: str, default: str | None = None):
    def tag(value: Any) -> Any:
        return value.get(key, default) if isinstance(value, dict) else getattr(value, key, None)

    return Discriminator(tag)


if TYPE_CHECKING:
    Data = (
        NoData
        | Digits
        | Idx
        | Cifar10
        | Cifar100
        | Npz
        | Npy
        | ImageFolder
        | Csv
        | TwoMoons
        | Spirals
        | Gaussians
        | Sines
        | Shapes
        | Spheres
    )
    Model = LayersModel | Architecture
    Optimizer = SGD | Momentum | Adam | AdamW
else:
    Data = Annotated[_union((NoData, *SOURCES)), _key_tag("source")]
    Model = Annotated[
        Union[
            (
                Annotated[LayersModel, Tag("layers")],
                *(member for cls in ARCHITECTURES for member in tagged(cls)),
            )
        ],
        Discriminator(architecture_tag),
    ]
    Optimizer = Annotated[_union((SGD, Momentum, Adam, AdamW)), _key_tag("name", "adamw")]


class Experiment(Frozen):
    """One YAML file. The shortest useful one has `data` and `model`, nothing else."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = Field(
        default=None, description="of the run directory; default: the file's name"
    )
    seed: NonNegativeInt = Field(default=0, le=2**32 - 1)
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="of maps, and of weights where they are multiplied, in training and evaluation; parameters, "
        "statistics, losses and metrics are float32 in both",
    )
    data: Data = NoData()
    model: Model
    loss: Loss = Loss()
    optimizer: Optimizer = AdamW()
    train: Train = Train()
