"""The networks: one paper, one file, and the one table of them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flax import nnx

from cnnlab.errors import SpecError
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.windows import ShapeError, show
from cnnlab.models import (
    alexnet,
    autoencoder,
    efficientnet,
    googlenet,
    lenet,
    linear,
    network_in_network,
    resnet,
    resnet_cifar,
    resnext,
    senet,
    unet,
    vgg,
)
from cnnlab.models.custom import from_layers
from cnnlab.spec.init import ConstantInit
from cnnlab.spec.schema import LayersModel, ModelSpec

if TYPE_CHECKING:
    from cnnlab.spec.schema import Model

_PAPERS = (
    linear,
    lenet,
    alexnet,
    vgg,
    network_in_network,
    googlenet,
    resnet,
    resnet_cifar,
    resnext,
    senet,
    efficientnet,
    unet,
    autoencoder,
)
MODELS: dict[str, Callable[..., nnx.Module]] = {
    name: make for paper in _PAPERS for name, make in paper.NETWORKS.items()
}
# For networks that torchvision or timm publish: rules from the paths of our modules to the names of theirs, by
# scheme, and the dense layers behind a flattened map with its positions per axis.
TORCH_NAMES = {
    name: paper.TORCH_NAMES
    for paper in (alexnet, vgg, googlenet, resnet, resnext, senet, efficientnet)
    for name in paper.NETWORKS
}
for _name in ("efficientnet_b5", "efficientnet_b6", "efficientnet_b7"):
    # timm's have another epsilon (1e-5): its weights would load, and the logits be 0.3 % off.
    TORCH_NAMES[_name] = {"torchvision": TORCH_NAMES[_name]["torchvision"]}
FLATTENED = {name: paper.FLATTENED for paper in (alexnet, vgg, googlenet) for name in paper.NETWORKS}
PUBLISHED_CLASSES = 1000  # ImageNet's, for a network without data


def build(model: "Model", input_shape: tuple[int, ...], classes: int | None, *, init: Initializer) -> nnx.Module:
    """The network of a spec for inputs [*space, channel]; `classes` may be None where there is no data.

    Raises SpecError where the shapes do not fit, or where `model.input` or `model.classes` say something else.
    """
    if model.input not in (None, input_shape):
        message = f"{show(model.input)}, and the data has {show(input_shape)}"
        raise SpecError(message, where="model.input", hint="leave it out, or set data.resize")
    if model.classes not in (None, classes):
        raise SpecError(f"{model.classes}, and the data has {classes}", where="model.classes", hint="leave it out")
    init = init.using(model.init.constant if isinstance(model.init, ConstantInit) else model.init)
    if isinstance(model, LayersModel):
        return from_layers(model.layers, input_shape, classes, init=init)
    name, options = model.name, model.model_dump(exclude={"name", *ModelSpec.model_fields})  # type: ignore[attr-defined]
    try:
        return MODELS[name](input_shape, classes or PUBLISHED_CLASSES, init=init, **options)
    except ShapeError as error:
        where = ", ".join(filter(None, (f"model ({name}) on {show(input_shape)}", error.where)))
        way_out = error.hint or _larger(MODELS[name], input_shape, options)
        raise ShapeError(error.message, where=where, hint=way_out) from None


def _larger(make: Callable[..., nnx.Module], input_shape: tuple[int, ...], options: dict[str, Any]) -> str:
    """The way out for an input that is too small: the first of some usual sizes that is large enough."""
    if len(input_shape) == 1:
        return "give it a map, [height, width, channels]"
    *space, channels = input_shape
    for size in (16, 32, 48, 64, 96, 128, 224):
        try:
            make((*(size for _ in space), channels), PUBLISHED_CLASSES, init=Initializer(), **options)
        except ShapeError:
            continue
        return f"give it a larger input, such as data.resize: {size}"
    return "give it a larger input"
