"""`layers:` of a spec -> a network: every entry built with the map's shape known, errors named by entry."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from flax import nnx

from cnnlab.layers import activation, compose, conv, norm, pool, regularize, resample
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.stack import Stack
from cnnlab.layers.windows import ShapeError, show, spatial_axes
from cnnlab.spec.layers import Dense, LayerSpec
from cnnlab.spec.vocabulary import Branches, Repeat, Residual


def from_layers(
    layers: tuple[LayerSpec, ...], input_shape: tuple[int, ...], classes: int | None, *, init: Initializer
) -> compose.Sequential:
    """A Sequential of the entries, [batch, *space, channel] to [batch, classes].

    Without `classes` the end may have any shape. Raises ShapeError with the entry's path and the map that it
    cannot take, and where the end is not one logit a class.
    """
    stack = _Builder(classes, init).stack(layers, input_shape, "model.layers")
    if classes is not None and stack.shape != (classes,):
        raise ShapeError(
            f"the last layer gives {show(stack.shape)}, and there are {classes} classes",
            where="model.layers",
            hint="end with 'dense: classes', after flatten or global_avg_pool",
        )
    return stack.build()


@dataclass(frozen=True)
class _Builder:
    classes: int | None
    init: Initializer

    def stack(self, layers: tuple[LayerSpec, ...], shape: tuple[int, ...], path: str) -> Stack:
        stack = Stack(shape)
        for i, entry in enumerate(layers):
            here, name = f"{path}[{i}]", entry.name or f"{entry.kind}_{i}"
            stack.add(name, partial(self.layer, entry, stack.shape, here), where=f"{here} ({_label(entry)})")
        return stack

    def layer(self, entry: LayerSpec, shape: tuple[int, ...], path: str) -> nnx.Module:
        inside = f"{path}.{entry.kind}"
        match entry:
            case Residual():
                body = self.stack(entry.body, shape, f"{inside}.body").build()
                shortcut = None
                if not isinstance(entry.shortcut, str):
                    shortcut = self.stack(entry.shortcut, shape, f"{inside}.shortcut").build()
                after = activation.ACTIVATIONS[entry.activation]() if entry.activation else None
                return compose.Residual(body, shortcut, after)
            case Branches():
                stacks = [self.stack(layers, shape, f"{inside}[{j}]") for j, layers in enumerate(entry.lists)]
                return compose.Branches({f"branch{j}": stack.build() for j, stack in enumerate(stacks)}, entry.join)
            case Repeat():
                stack = Stack(shape)
                for time in range(entry.times):
                    once = self.stack(entry.layers, stack.shape, f"{inside}.layers")
                    stack.add(f"time{time}", once.build)
                return stack.build()
            case Dense():
                return conv.Dense(shape[-1], self._features(entry), bias=entry.bias, init=self.init)
        return LEAVES[entry.kind](entry.model_dump(exclude={"name"}), shape, self.init)

    def _features(self, entry: Dense) -> int:
        if entry.features != "classes":
            return entry.features
        if self.classes is None:
            raise ShapeError("there are no classes without data", hint="give model.classes")
        return self.classes


def _label(entry: LayerSpec) -> str:
    """`max_pool 2`, `conv 3`: the word and its window, for messages."""
    window = getattr(entry, "window", getattr(entry, "kernel", None))
    if window is None:
        return entry.kind
    return f"{entry.kind} {window if isinstance(window, int) else show(window)}"


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
