"""The published networks that a spec can name, and the options of each."""

from typing import Annotated, Any, Literal

from pydantic import Field, Tag

from cnnlab.spec.layers import ActivationName
from cnnlab.spec.types import Frozen, PositiveInt, Rate

Input = Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=4)]


Classes = Annotated[PositiveInt, Field(ge=2)]


class Architecture(Frozen):
    input: Input | None = Field(default=None, description="[height, width, channels]; default: the data's")
    classes: Classes | None = Field(default=None, description="default: the data's, 1000 where there is none")


class SoftmaxRegression(Architecture):
    """One dense layer over all pixels."""

    tags = ("softmax_regression",)
    name: Literal["softmax_regression"]


class MLP(Architecture):
    """Dense layers, each with an activation and dropout, over the flattened input."""

    tags = ("mlp",)
    name: Literal["mlp"]
    hidden: tuple[PositiveInt, ...] = (256, 128)
    activation: ActivationName = "relu"
    dropout: Rate = 0.0


class LeNet5(Architecture):
    """LeCun, Bottou, Bengio and Haffner 1998."""

    tags = ("lenet5",)
    name: Literal["lenet5"]
    activation: ActivationName = "tanh"
    pooling: Literal["avg", "max"] = "avg"


class ResNet(Architecture):
    """He, Zhang, Ren and Sun 2016; `stem: small` is its form for images of 32 pixels and fewer."""

    tags = ("resnet18", "resnet34")
    name: Literal["resnet18", "resnet34"]
    stem: Literal["standard", "small"] = "standard"
    width: PositiveInt = Field(default=64, description="channels of the first stage; the paper's is 64")


ARCHITECTURES: tuple[type[Architecture], ...] = (SoftmaxRegression, MLP, LeNet5, ResNet)
NAMES: dict[str, type[Architecture]] = {name: cls for cls in ARCHITECTURES for name in cls.tags}


def architecture_tag(value: Any) -> str | None:
    """The name by which pydantic chooses the class of `model:`; `layers` where they are written out."""
    if not isinstance(value, dict):
        return getattr(value, "name", "layers")
    return "layers" if "layers" in value else value.get("name")


def tagged(cls: type[Architecture]) -> list[Any]:
    """One member of the union for each name that the class carries."""
    return [Annotated[cls, Tag(name)] for name in cls.tags]
