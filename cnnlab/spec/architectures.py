"""The published networks that a spec can name, and the options of each."""

from typing import Annotated, Any, Literal

from pydantic import Field, Tag

from cnnlab.spec.activations import ActivationName
from cnnlab.spec.init import InitRule
from cnnlab.spec.types import Bool, Float, Frozen, PositiveInt, Rate, Str

Input = Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=4)]
Classes = Annotated[PositiveInt, Field(ge=2)]
Normalization = Literal["batch", "group", "instance", "layer", "none"]
Widths = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]


class ModelSpec(Frozen):
    """What every network takes, published or written out."""

    input: Input | None = Field(default=None, description="[height, width, channels]; default: the data's")
    classes: Classes | None = Field(default=None, description="default: the data's, 1000 where there is none")
    init: InitRule | None = Field(default=None, description="first weights of every layer that says nothing itself")
    weights: Str | None = Field(default=None, description="a .safetensors file or a run to start from")
    new_head: Bool = Field(default=False, description="do not load the last dense layer: it learns new classes")
    freeze: tuple[Str, ...] = Field(default=(), description="paths or patterns of layers that do not train: stage*")
    unfreeze_at_epoch: PositiveInt | None = Field(
        default=None, description="from this epoch on all trains, the optimizer anew; 0 is the first"
    )
    ranks: dict[Str, PositiveInt] = Field(
        default={}, description="paths of convolutions and dense layers that become two, of so many channels between"
    )


class Architecture(ModelSpec):
    """A published network; its `name` chooses the class."""


class Linear(Architecture):
    """One dense layer over all pixels."""

    tags = ("perceptron", "logistic_regression", "softmax_regression")
    name: Literal["perceptron", "logistic_regression", "softmax_regression"]


class MLP(Architecture):
    """Dense layers, each with an activation and dropout, over the flattened input."""

    tags = ("mlp",)
    name: Literal["mlp"]
    hidden: tuple[PositiveInt, ...] = (256, 128)
    activation: ActivationName = "relu"
    dropout: Rate = 0.0


class LeNet1989(Architecture):
    """LeCun et al. 1989, the zip-code net for 16x16 pixels."""

    tags = ("lenet1989",)
    name: Literal["lenet1989"]
    activation: ActivationName = "scaled_tanh"


class LeNet5(Architecture):
    """LeCun, Bottou, Bengio and Haffner 1998."""

    tags = ("lenet5",)
    name: Literal["lenet5"]
    activation: ActivationName = "tanh"
    pooling: Literal["avg", "max"] = "avg"


class AlexNet(Architecture):
    """Krizhevsky 2014, as torchvision has it."""

    tags = ("alexnet",)
    name: Literal["alexnet"]
    activation: ActivationName = "relu"
    normalization: Normalization = "none"
    dropout: Rate = 0.5
    hidden: PositiveInt = Field(default=4096, description="units of the two dense layers")


class VGG(Architecture):
    """Simonyan and Zisserman 2015; `_bn` with batch normalisation."""

    tags = tuple(f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn"))
    name: Literal["vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"]
    activation: ActivationName = "relu"
    normalization: Normalization | None = Field(default=None, description="default: batch for _bn, else none")
    dropout: Rate = 0.5
    width: PositiveInt = Field(default=64, description="channels of the first stage")
    hidden: PositiveInt = Field(default=4096, description="units of the two dense layers")


class NetworkInNetwork(Architecture):
    """Lin, Chen and Yan 2014, the form for 32x32 pixels."""

    tags = ("network_in_network",)
    name: Literal["network_in_network"]
    activation: ActivationName = "relu"
    normalization: Normalization = "none"
    dropout: Rate = 0.5


class GoogLeNet(Architecture):
    """Szegedy et al. 2015, with batch normalisation as torchvision has it."""

    tags = ("googlenet",)
    name: Literal["googlenet"]
    auxiliary: Bool = Field(default=True, description="the two classifiers that training adds, with weight 0.3")
    activation: ActivationName = "relu"
    normalization: Normalization = "batch"
    dropout: Rate = 0.2
    auxiliary_dropout: Rate = 0.7


class Residual(Architecture):
    """What all ResNets take."""

    stem: Literal["standard", "small"] = Field(default="standard", description="small: for 32 pixels and fewer")
    width: PositiveInt = Field(default=64, description="channels of the first stage; the papers' is 64")
    activation: ActivationName = "relu"
    normalization: Normalization = "batch"
    dropout: Rate = Field(default=0.0, description="before the last layer")
    stochastic_depth: Rate = Field(default=0.0, description="of the last block, rising linearly from the first")


class ResNet(Residual):
    """He, Zhang, Ren and Sun 2016; v1.5 has the stride on the 3x3, v1 on the first 1x1, v2 pre-activation."""

    tags = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
    name: Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
    variant: Literal["v1", "v1.5", "v2"] = "v1.5"


class ResNetCifar(Architecture):
    """He, Zhang, Ren and Sun 2016, section 4.2: three stages of 16, 32, 64 channels for 32x32 pixels."""

    tags = ("resnet20", "resnet32", "resnet44", "resnet56", "resnet110")
    name: Literal["resnet20", "resnet32", "resnet44", "resnet56", "resnet110"]
    variant: Literal["v1", "v2"] = "v1"
    shortcut: Literal["padding", "projection"] = Field(default="padding", description="where channels change: A or B")
    width: PositiveInt = 16
    activation: ActivationName = "relu"
    normalization: Normalization = "batch"
    dropout: Rate = Field(default=0.0, description="before the last layer")
    stochastic_depth: Rate = Field(default=0.0, description="of the last block, rising linearly from the first")


class ResNeXt(Residual):
    """Xie et al. 2017."""

    tags = ("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d")
    name: Literal["resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"]


class SENet(Residual):
    """Hu, Shen and Sun 2018."""

    tags = (
        *(f"seresnet{depth}" for depth in (18, 34, 50, 101, 152)),
        *("seresnext50_32x4d", "seresnext101_32x4d", "seresnext101_32x8d"),
    )
    name: Literal[
        "seresnet18",
        "seresnet34",
        "seresnet50",
        "seresnet101",
        "seresnet152",
        "seresnext50_32x4d",
        "seresnext101_32x4d",
        "seresnext101_32x8d",
    ]
    reduction: PositiveInt = Field(default=16, description="channels over hidden units of the gate")


class EfficientNet(Architecture):
    """Tan and Le 2019; `efficientnet` scales B0 by a coefficient of one's own."""

    tags = ("efficientnet", *(f"efficientnet_b{i}" for i in range(8)))
    name: Literal[
        "efficientnet",
        "efficientnet_b0",
        "efficientnet_b1",
        "efficientnet_b2",
        "efficientnet_b3",
        "efficientnet_b4",
        "efficientnet_b5",
        "efficientnet_b6",
        "efficientnet_b7",
    ]
    coefficient: Annotated[Float, Field(ge=-4, le=10)] | None = Field(
        default=None, description="phi of equation 3; for `efficientnet` alone"
    )
    activation: ActivationName = "swish"
    normalization: Normalization = "batch"
    dropout: Rate | None = Field(default=None, description="default: the published 0.2 to 0.5")
    stochastic_depth: Rate = Field(default=0.2, description="of the last block, rising linearly from the first")


class UNet(Architecture):
    """Ronneberger, Fischer and Brox 2015; signals and volumes too."""

    tags = ("unet",)
    name: Literal["unet"]
    depth: PositiveInt = Field(default=4, description="how often the map is halved")
    width: PositiveInt = Field(default=64, description="channels of the first level, doubled at each")
    padding: Literal["valid", "same"] = Field(default="valid", description="valid: the paper's; same: keeps the size")
    upsampling: Literal["conv_transpose", "nearest", "bilinear"] = "conv_transpose"
    activation: ActivationName = "relu"
    normalization: Normalization = "none"
    dropout: Rate = Field(default=0.0, description="at the end of the contracting path")


class ConvEncoder(Architecture):
    """Convolutions of stride 2 to a code, and one logit a class from it (Masci et al. 2011)."""

    tags = ("conv_encoder",)
    name: Literal["conv_encoder"]
    widths: Widths = (32, 64, 128)
    code: PositiveInt = 64
    activation: ActivationName = "relu"
    normalization: Normalization = "batch"


class ConvAutoencoder(Architecture):
    """The encoder, and a decoder that mirrors it: a map of the input's shape (Masci et al. 2011)."""

    tags = ("conv_autoencoder",)
    name: Literal["conv_autoencoder"]
    widths: Widths = (32, 64, 128)
    code: PositiveInt = 64
    activation: ActivationName = "relu"
    normalization: Normalization = "batch"
    output: ActivationName = Field(default="identity", description="after the last layer")


class ConvDecoder(Architecture):
    """The decoder alone, from a vector of features to a map."""

    tags = ("conv_decoder",)
    name: Literal["conv_decoder"]
    shape: Annotated[tuple[PositiveInt, ...], Field(min_length=2, max_length=4)] = Field(
        default=(32, 32, 1), description="of its output"
    )
    widths: Widths = (128, 64, 32)
    activation: ActivationName = "relu"
    normalization: Normalization = "batch"
    output: ActivationName = Field(default="identity", description="after the last layer")


ARCHITECTURES: tuple[type[Architecture], ...] = (
    Linear, MLP, LeNet1989, LeNet5, AlexNet, VGG, NetworkInNetwork, GoogLeNet, ResNet, ResNetCifar, ResNeXt, SENet,
    EfficientNet, UNet, ConvEncoder, ConvDecoder, ConvAutoencoder,
)  # fmt: skip
NAMES: dict[str, type[Architecture]] = {name: cls for cls in ARCHITECTURES for name in cls.tags}


def architecture_tag(value: Any) -> str | None:
    """The name by which pydantic chooses the class of `model:`; `layers` where they are written out."""
    if not isinstance(value, dict):
        return getattr(value, "name", "layers")
    return "layers" if "layers" in value else value.get("name")


def tagged(cls: type[Architecture]) -> list[Any]:
    """One member of the union for each name that the class carries."""
    return [Annotated[cls, Tag(name)] for name in cls.tags]
