"""The head of a network: its last layer with weights, which makes logits of features, or several heads side by side."""

from typing import Any

from flax import nnx

from cnnlab.errors import SpecError
from cnnlab.layers.activation import Identity
from cnnlab.layers.compose import Fork, Sequential
from cnnlab.layers.conv import Conv, ConvTranspose, Dense
from cnnlab.trace.walk import trace


def head_of(model: nnx.Module, input_shape: tuple[int, ...]) -> str:
    """The path of the last dense or convolutional layer that a forward pass calls, or of the fork to several heads.

    Raises SpecError for none.
    """
    return _head(model, [call.path for call in trace(model, input_shape).calls])


def _head(model: nnx.Module, called: list[str]) -> str:
    layers = {".".join(map(str, path)): module for path, module in nnx.iter_modules(model)}
    if forks := [path for path, module in layers.items() if isinstance(module, Fork)]:
        return forks[0]
    for path in reversed(called):
        if isinstance(layers.get(path), Dense | Conv | ConvTranspose):
            return path
    raise SpecError("the network has no layer with weights", where="model")


def heads_of(model: nnx.Module, input_shape: tuple[int, ...]) -> tuple[str, ...]:
    """The head, and those of auxiliary classifiers, which only training calls: all that knows of the classes."""
    called = [call.path for call in trace(model, input_shape).calls]
    paths = [".".join(map(str, path)) for path, _ in nnx.iter_modules(model)]
    head = _head(model, called)
    if any(path.startswith(f"{head}.") for path in paths):  # a fork: all that its heads are made of
        return (head, *(path for path in paths if path.startswith(f"{head}.")))
    return (_head(model, called), *(path for path in paths if path.endswith(".head") and path not in called))


def without_head(model: nnx.Module, input_shape: tuple[int, ...]) -> nnx.Module:
    """The same network up to its head: it returns what the head is given, the features.

    Raises SpecError where the head is not on the one way to the output.
    """
    path = head_of(model, input_shape)
    parent: Any = model
    holder: Any = model
    for part in path.split("."):
        if isinstance(holder, Sequential):  # whatever follows is left out
            holder.order = holder.order[: holder.order.index(part) + 1]
        elif holder is not model:
            message = f"the last layer with weights, {path}, stands in a branch, so that the network has no features"
            raise SpecError(message, where="model")
        parent, holder = holder, getattr(holder, part)
    setattr(parent, path.rpartition(".")[2], Identity())
    return model
