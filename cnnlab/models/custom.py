"""`layers:` of a spec -> a network: every entry built with the map's shape known, errors named by entry."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from flax import nnx

from cnnlab.layers import activation, compose, conv, gate, norm, pad, pool, regularize, resample, separable
from cnnlab.layers.initialize import Initializer, Rule
from cnnlab.layers.stack import Stack
from cnnlab.layers.windows import ShapeError, show, spatial_axes
from cnnlab.spec.init import ConstantInit
from cnnlab.spec.layer import LayerSpec
from cnnlab.spec.layers import Dense
from cnnlab.spec.vocabulary import Branches, CropConcat, Repeat, Residual


def from_layers(
    layers: tuple[LayerSpec, ...],
    input_shape: tuple[int, ...],
    classes: int | None,
    *,
    init: Initializer,
    path: str = "model.layers",
) -> compose.Sequential:
    """A Sequential of the entries, [batch, *space, channel] to [batch, classes].

    `classes` is what the word stands for, `path` where the entries are in the spec; what the end has to be, the task
    says. Raises ShapeError with the entry's path and the map that it cannot take.
    """
    return _Builder(classes, init).stack(layers, input_shape, path).build()


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
                body, shortcut = self.stack(entry.body, shape, f"{inside}.body"), None
                if entry.shortcut == "projection":
                    shortcut = _projection(shape, body.shape, self.init)
                elif not isinstance(entry.shortcut, str):
                    shortcut = self.stack(entry.shortcut, shape, f"{inside}.shortcut").build()
                after = activation.ACTIVATIONS[entry.activation]() if entry.activation else None
                return compose.Residual(body.build(), shortcut, after)
            case CropConcat():
                return compose.CropConcat(self.stack(entry.body, shape, f"{inside}.body").build())
            case Branches():
                stacks = [self.stack(layers, shape, f"{inside}[{j}]") for j, layers in enumerate(entry.lists)]
                return compose.Branches({f"branch{j}": stack.build() for j, stack in enumerate(stacks)}, entry.join)
            case Repeat():
                stack = Stack(shape)
                for time in range(entry.times):
                    once = self.stack(entry.layers, stack.shape, f"{inside}.layers")
                    stack.add(f"time{time}", partial(compose.Block, once.layers))
                return stack.build()
        init = self.init.using(_rule(entry))
        if isinstance(entry, Dense):
            return conv.Dense(shape[-1], self._features(entry), bias=entry.bias, init=init)
        return LEAVES[entry.kind](entry.model_dump(exclude={"name", "init"}), shape, init)

    def _features(self, entry: Dense) -> int:
        if entry.features != "classes":
            return entry.features
        if self.classes is None:
            raise ShapeError("there are no classes without data", hint="give model.classes")
        return self.classes


def _rule(entry: LayerSpec) -> Rule | None:
    """The layer's own `init`."""
    init = getattr(entry, "init", None)
    return init.constant if isinstance(init, ConstantInit) else init


def _projection(shape: tuple[int, ...], body: tuple[int, ...], init: Initializer) -> nnx.Module:
    """From a map of `shape` to the body's: W_s of He, Zhang, Ren and Sun 2016, eq. 2 (option B), without bias."""
    stride = tuple(-(-n // m) for n, m in zip(shape[:-1], body[:-1], strict=False))
    if len(shape) != len(body) or any(-(-n // s) != m for n, s, m in zip(shape, stride, body, strict=False)):
        message = f"the body gives {show(body)}, and no stride leads a projection of {show(shape)} there"
        raise ShapeError(message, hint="write the shortcut out, as a list of layers")
    if not stride:
        return conv.Dense(shape[-1], body[-1], bias=False, init=init)
    return conv.Conv(shape[-1], body[-1], 1, axes=len(stride), stride=stride, bias=False, init=init)


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


def _squeeze_excite(settings: dict[str, Any], shape: tuple[int, ...], init: Initializer) -> nnx.Module:
    hidden = max(1, shape[-1] // settings["reduction"])
    return gate.SqueezeExcite(shape[-1], hidden, axes=_axes(shape), activation=settings["activation"], init=init)


def _prelu(settings: dict[str, Any], shape: tuple[int, ...], init: Initializer) -> nnx.Module:
    return activation.Prelu(1 if settings["shared"] else shape[-1])


# How each word becomes a layer: from its settings, the map's shape and the source of random weights.
LEAVES: dict[str, Callable[[dict[str, Any], tuple[int, ...], Initializer], nnx.Module]] = {
    "conv": _with_weights(conv.Conv),
    "conv_transpose": _with_weights(conv.ConvTranspose),
    "depthwise_conv": _with_weights(separable.DepthwiseConv),
    "separable_conv": _with_weights(separable.SeparableConv),
    "spatially_separable_conv": _with_weights(separable.SpatiallySeparableConv),
    "squeeze_excite": _squeeze_excite,
    "max_pool": _over_space(pool.MaxPool),
    "avg_pool": _over_space(pool.AvgPool),
    "adaptive_max_pool": _over_space(pool.AdaptiveMaxPool),
    "adaptive_avg_pool": _over_space(pool.AdaptiveAvgPool),
    "global_max_pool": _plain(pool.GlobalMaxPool),
    "global_avg_pool": _plain(pool.GlobalAvgPool),
    "spatial_pyramid_pool": _over_space(pool.SpatialPyramidPool),
    "flatten": _plain(resample.Flatten),
    "upsample": _over_space(resample.Upsample),
    "pad": _over_space(pad.Pad),
    "batch_norm": _per_channel(norm.BatchNorm),
    "layer_norm": _per_channel(norm.LayerNorm),
    "instance_norm": _per_channel(norm.InstanceNorm),
    "group_norm": _per_channel(norm.GroupNorm),
    "dropout": _plain(regularize.Dropout),
    "spatial_dropout": _plain(regularize.SpatialDropout),
    "stochastic_depth": _plain(regularize.StochasticDepth),
    **{name: _plain(layer) for name, layer in activation.ACTIVATIONS.items()},
    "prelu": _prelu,
}
