"""`layers:` of a spec -> a network: every entry built with the map's shape known, errors named by entry."""

from collections.abc import Callable
from typing import Any

from flax import nnx

from cnnlab.layers import activation, compose, conv, norm, pool, regularize, resample
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.stack import Stack
from cnnlab.layers.windows import ShapeError, show, spatial_axes
from cnnlab.spec import vocabulary as spec
from cnnlab.spec.vocabulary import LayerSpec


def from_layers(
    layers: tuple[LayerSpec, ...], input_shape: tuple[int, ...], classes: int, *, init: Initializer
) -> compose.Sequential:
    """A Sequential of the entries, [batch, *space, channel] to [batch, classes].

    Raises ShapeError with the entry's path and the map that it cannot take, and where the end is no vector
    of one logit a class.
    """
    stack = _stack(layers, input_shape, "model.layers", classes, init)
    if stack.shape != (classes,):
        raise ShapeError(
            f"the last layer gives {show(stack.shape)}, and the data has {classes} classes",
            where="model.layers",
            hint="end with 'dense: classes', after flatten or global_avg_pool",
        )
    return stack.build()


def _stack(layers: tuple[LayerSpec, ...], shape: tuple[int, ...], path: str, classes: int, init: Initializer) -> Stack:
    stack = Stack(shape)
    for i, entry in enumerate(layers):
        here = f"{path}[{i}]"
        name = entry.name or f"{entry.kind}_{i}"
        make = lambda entry=entry, here=here: _build(entry, stack.shape, here, classes, init)  # noqa: E731
        stack.add(name, make, where=f"{here} ({_label(entry)})")
    return stack


def _label(entry: LayerSpec) -> str:
    """`max_pool 2`, `conv 3`: the word and its window, for messages."""
    window = getattr(entry, "window", getattr(entry, "kernel", None))
    if window is None:
        return entry.kind
    return f"{entry.kind} {window if isinstance(window, int) else show(window)}"


def _build(entry: LayerSpec, shape: tuple[int, ...], path: str, classes: int, init: Initializer) -> nnx.Module:
    def inner(layers: tuple[LayerSpec, ...], key: str) -> compose.Sequential:
        return _stack(layers, shape, f"{path}.{entry.kind}{key}", classes, init).build()

    match entry:
        case spec.Residual():
            skip = None if entry.shortcut == "identity" else inner(entry.shortcut, ".shortcut")  # type: ignore[arg-type]
            after = activation.ACTIVATIONS[entry.activation]() if entry.activation else None
            return compose.Residual(inner(entry.body, ".body"), skip, after)
        case spec.Branches():
            lists = {f"branch{j}": inner(layers, f"[{j}]") for j, layers in enumerate(entry.lists)}
            return compose.Branches(lists, entry.join)
        case spec.Repeat():
            return _repeat(entry, shape, path, classes, init)
        case spec.Dense():
            features = classes if entry.features == "classes" else entry.features
            return conv.Dense(shape[-1], features, bias=entry.bias, init=init)
    settings = entry.model_dump(exclude={"name"})
    return LEAVES[entry.kind](settings, shape, init)


def _repeat(
    entry: spec.Repeat, shape: tuple[int, ...], path: str, classes: int, init: Initializer
) -> compose.Sequential:
    stack = Stack(shape)

    def once() -> compose.Sequential:
        return _stack(entry.layers, stack.shape, f"{path}.repeat.layers", classes, init).build()

    for time in range(entry.times):
        stack.add(f"time{time}", once)
    return stack.build()


def _axes(shape: tuple[int, ...]) -> int:
    return spatial_axes((1, *shape))


def _with_weights(layer: Callable[..., nnx.Module]) -> Callable[..., nnx.Module]:
    return lambda settings, shape, init: layer(shape[-1], axes=_axes(shape), init=init, **settings)


def _over_space(layer: Callable[..., nnx.Module]) -> Callable[..., nnx.Module]:
    return lambda settings, shape, init: layer(axes=_axes(shape), **settings)


def _per_channel(layer: Callable[..., nnx.Module]) -> Callable[..., nnx.Module]:
    return lambda settings, shape, init: layer(shape[-1], **settings)


def _plain(layer: Callable[..., nnx.Module]) -> Callable[..., nnx.Module]:
    return lambda settings, shape, init: layer(**settings)


# How each word becomes a layer: from its settings, the map's shape and the source of random weights.
LEAVES: dict[str, Callable[[dict[str, Any], tuple[int, ...], Initializer], nnx.Module]] = {
    "conv": _with_weights(conv.Conv),
    "conv_transpose": _with_weights(conv.ConvTranspose),
    "depthwise_conv": _with_weights(conv.DepthwiseConv),
    "separable_conv": _with_weights(conv.SeparableConv),
    "max_pool": _over_space(pool.MaxPool),
    "avg_pool": _over_space(pool.AvgPool),
    "global_avg_pool": _plain(pool.GlobalAvgPool),
    "global_max_pool": _plain(pool.GlobalMaxPool),
    "flatten": _plain(resample.Flatten),
    "upsample": _over_space(resample.Upsample),
    "pad": _over_space(resample.Pad),
    "batch_norm": _per_channel(norm.BatchNorm),
    "layer_norm": _per_channel(norm.LayerNorm),
    "instance_norm": _per_channel(norm.InstanceNorm),
    "group_norm": _per_channel(norm.GroupNorm),
    "dropout": _plain(regularize.Dropout),
    **{name: _plain(layer) for name, layer in activation.ACTIVATIONS.items()},
}
