"""The networks: one paper, one file, and the one table of them."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from flax import nnx

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


def build(model: "Model", input_shape: tuple[int, ...], classes: int, *, init: Initializer) -> nnx.Module:
    """The network of a spec for inputs [*space, channel]. Raises SpecError where the shapes do not fit."""
    if isinstance(model, LayersModel):
        return from_layers(model.layers, input_shape, classes, init=init)
    name, options = model.name, model.model_dump(exclude={"name", "input"})  # type: ignore[attr-defined]
    try:
        return MODELS[name](input_shape, classes, init=init, **options)
    except ShapeError as error:
        where = ", ".join(filter(None, (f"model ({name}) on {show(input_shape)}", error.where)))
        raise ShapeError(error.message, where=where, hint=error.hint or "give it a larger input") from None
