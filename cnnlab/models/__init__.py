"""The networks: one paper, one file, and the one table of them."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from flax import nnx

from cnnlab.errors import SpecError
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.windows import ShapeError, show
from cnnlab.models.custom import from_layers
from cnnlab.models.lenet import lenet5
from cnnlab.models.linear import mlp, softmax_regression
from cnnlab.models.resnet import ResNet
from cnnlab.spec.schema import LayersModel

if TYPE_CHECKING:
    from cnnlab.spec.schema import Model

MODELS: dict[str, Callable[..., nnx.Module]] = {
    "softmax_regression": softmax_regression,
    "mlp": mlp,
    "lenet5": lenet5,
    "resnet18": partial(ResNet, stages=(2, 2, 2, 2)),
    "resnet34": partial(ResNet, stages=(3, 4, 6, 3)),
}
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
    if isinstance(model, LayersModel):
        return from_layers(model.layers, input_shape, classes, init=init)
    name, options = model.name, model.model_dump(exclude={"name", "input", "classes"})  # type: ignore[attr-defined]
    try:
        return MODELS[name](input_shape, classes or PUBLISHED_CLASSES, init=init, **options)
    except ShapeError as error:
        where = ", ".join(filter(None, (f"model ({name}) on {show(input_shape)}", error.where)))
        way_out = (
            "give it a larger input, such as data.resize: 32"
            if len(input_shape) > 1
            else "give it a map, [height, width, channels]"
        )
        raise ShapeError(error.message, where=where, hint=error.hint or way_out) from None
