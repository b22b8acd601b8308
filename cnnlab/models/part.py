"""The first part of a network, up to a layer that all of it goes through: an encoder out of an autoencoder."""

from flax import nnx

from cnnlab.errors import SpecError, did_you_mean
from cnnlab.layers.compose import Sequential


def up_to(model: nnx.Module, path: str, where: str) -> Sequential:
    """The network up to the layer at `path`, that layer included; it shares the layers with the whole.

    Raises SpecError, of the setting `where`, for a path that is not there or not on the one way to the output.
    """
    name, _, rest = path.partition(".")
    if not isinstance(model, Sequential):
        inside = [part for part, child in nnx.iter_children(model) if isinstance(child, nnx.Module)]
        way = f"'{path}' is not on the one way to the output, which {type(model).__name__} divides"
        message = way if name in inside else f"the network has no layer '{path}'"
        raise SpecError(message, where=where, hint="name a layer that everything goes through, as in conv_autoencoder")
    if name not in model.order:
        hint = did_you_mean(name, model.order) or f"there are {', '.join(model.order)}"
        raise SpecError(f"the network has no layer '{name}' here", where=where, hint=hint)
    layers = {each: getattr(model, each) for each in model.order[: model.order.index(name) + 1]}
    if rest:
        layers[name] = up_to(layers[name], rest, where)
    return Sequential(layers)


def last_of(layer: nnx.Module) -> nnx.Module:
    """What gives a layer's output: itself, or the last of its layers."""
    return last_of(getattr(layer, layer.order[-1])) if isinstance(layer, Sequential) and layer.order else layer
