"""ResNet: He, Zhang, Ren and Sun, "Deep residual learning for image recognition" (2016).

Variants: `v1.5`, as torchvision has it, halves the map in a bottleneck's 3x3; `v1`, the paper's, in its first 1x1.
Basic blocks are the same in both. `v2` is He et al., "Identity mappings in deep residual networks" (2016): norm and
activation stand before each convolution and once more behind the last block, and what projects sees the activated
map; the stem is a convolution (and pool) alone and the stride on the 3x3, as in timm's resnetv2.

Parameters with 1,000 classes: ResNet-18 11,689,512, -34 21,797,672, -50 25,557,032, -101 44,549,160, -152 60,192,808.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from cnnlab.layers.compose import Residual, Sequential
from cnnlab.layers.conv import Conv, Dense, Map, NewMap
from cnnlab.layers.gate import SqueezeExcite
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.pool import GlobalAvgPool, MaxPool
from cnnlab.layers.recompute import recomputable
from cnnlab.layers.regularize import Dropout, StochasticDepth
from cnnlab.layers.stack import Stack
from cnnlab.layers.windows import ShapeError
from cnnlab.models.blocks import Style, map_axes, round_channels


class PaddedShortcut(nnx.Module):
    """Option A of section 3.3: every `stride`-th position, and zeros for the channels that are new; no weights."""

    def __init__(self, features: int, stride: int):
        self.features, self.stride = features, stride

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> NewMap:
        strides = (1, *(self.stride,) * (x.ndim - 2), 1)
        kept = jax.lax.slice(x, (0,) * x.ndim, x.shape, strides)
        return jnp.pad(kept, (*((0, 0),) * (x.ndim - 1), (0, self.features - x.shape[-1])))


class PreActivated(nnx.Module):
    """body(y) + x with y = preact(x) (He et al. 2016b, figure 4e); a shortcut, which changes the shape, sees y too."""

    def __init__(self, preact: nnx.Module, body: nnx.Module, shortcut: nnx.Module | None):
        self.preact, self.body, self.shortcut = preact, body, shortcut

    @recomputable
    def __call__(self, x: Map, mode: Mode = EVALUATION) -> NewMap:
        y: Array = self.preact(x, mode.child(0))
        skip = x if self.shortcut is None else self.shortcut(y, mode.child(2))
        return self.body(y, mode.child(1)) + skip


@dataclass(frozen=True)
class Blocks:
    """Makes the residual blocks of one network, all alike.

    `planes` are the channels of a block's 3x3 where nothing widens or groups it: the output has as many in a basic
    block, four times as many in a bottleneck.
    """

    style: Style
    bottleneck: bool
    groups: int
    width_per_group: int
    reduction: int | None
    variant: str
    shortcut: str

    def stage(self, in_features: int, planes: int, stride: int, rates: list[float]) -> Sequential:
        """One block for each rate of stochastic depth; the first has the stride and changes the channels."""
        features = planes * 4 if self.bottleneck else planes
        blocks = {"block0": self.block(in_features, planes, features, stride, rates[0])}
        for i, rate in enumerate(rates[1:], start=1):
            blocks[f"block{i}"] = self.block(features, planes, features, 1, rate)
        return Sequential(blocks)

    def block(self, in_features: int, planes: int, features: int, stride: int, rate: float) -> nnx.Module:
        """Figure 5 of the paper: a body, and beside it a shortcut that projects where the shape changes."""
        body = self.body(in_features, planes, features, stride, rate)
        shortcut = self.projection(in_features, features, stride)
        if self.variant == "v2":
            return PreActivated(_norm_act(self.style, in_features), body, shortcut)
        return Residual(body, shortcut, self.style.act())

    def body(self, in_features: int, planes: int, features: int, stride: int, rate: float) -> Sequential:
        """Convolutions with norm and activation between them; v1 ends on a norm, v2 on a convolution."""
        style, layers = self.style, {}
        ahead = 1 if self.variant == "v2" else 0  # there a norm has the number of the convolution that follows it
        for i, (width, conv) in enumerate(self.convolutions(in_features, planes, features, stride), start=1):
            layers |= {f"conv{i}": conv, f"norm{i + ahead}": style.norm(width), f"act{i + ahead}": style.act()}
        for _ in range(1 + ahead):
            layers.popitem()
        if self.reduction is not None:
            hidden = round_channels(features / self.reduction, least=0.0)
            layers["gate"] = SqueezeExcite(features, hidden, axes=style.axes, init=style.init)
        if rate:
            layers["stochastic_depth"] = StochasticDepth(rate)
        return Sequential(layers)

    def convolutions(self, in_features: int, planes: int, features: int, stride: int) -> list[tuple[int, Conv]]:
        """A body's convolutions, each with the channels that it gives."""
        conv = partial(self.style.conv, bias=self.style.bias)
        if not self.bottleneck:
            return [(planes, conv(in_features, planes, 3, stride=stride)), (features, conv(planes, features, 3))]
        inner = planes * self.width_per_group // 64 * self.groups
        first, second = (stride, 1) if self.variant == "v1" else (1, stride)
        return [
            (inner, conv(in_features, inner, 1, stride=first)),
            (inner, conv(inner, inner, 3, stride=second, groups=self.groups)),
            (features, conv(inner, features, 1)),
        ]

    def projection(self, in_features: int, features: int, stride: int) -> nnx.Module | None:
        """Options A (padding) and B (projection) of section 3.3; None is the identity."""
        if stride == 1 and in_features == features:
            return None
        if self.shortcut == "padding":
            return PaddedShortcut(features, stride)
        conv = self.style.conv(in_features, features, 1, stride=stride, bias=self.style.bias)
        return Sequential({"conv": conv, "norm": None if self.variant == "v2" else self.style.norm(features)})


def _norm_act(style: Style, features: int) -> Sequential:
    return Sequential({"norm": style.norm(features), "act": style.act()})


def _stem(style: Style, channels: int, width: int, stem: str, variant: str) -> Sequential:
    kernel, stride = (7, 2) if stem == "standard" else (3, 1)
    layers: dict[str, nnx.Module | None] = {
        "conv": style.conv(channels, width, kernel, stride=stride, bias=style.bias),
        "norm": style.norm(width),
        "act": style.act(),
    }
    if variant == "v2":
        del layers["norm"], layers["act"]
    if stem == "standard":
        layers["pool"] = MaxPool(3, axes=style.axes, stride=2, padding=1)
    return Sequential(layers)


def resnet(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    stages: tuple[int, ...],
    block: str,
    groups: int = 1,
    width_per_group: int = 64,
    reduction: int | None = None,
    shortcut: str = "projection",
    variant: str = "v1.5",
    stem: str = "standard",
    width: int = 64,
    activation: str = "relu",
    normalization: str = "batch",
    dropout: float = 0.0,
    stochastic_depth: float = 0.0,
    init: Initializer,
) -> Sequential:
    """[batch, *space, channel] to [batch, classes]: a stem, stages that halve the map and double the channels, a head.

    `stages` counts the blocks ("basic" or "bottleneck") of each; the first has `width` planes and keeps the map.
    Bottlenecks may have `groups` (Xie et al. 2017), each of width_per_group / 64 of the planes. A `reduction` puts
    squeeze-and-excitation at the end of every body (Hu et al. 2018). `stem="small"` is for images of 32 pixels and
    fewer: a 3x3 convolution of stride 1 and no pool. Block l of L is skipped in training with probability
    stochastic_depth l / L (Huang et al. 2016, eq. 4); `dropout` stands before the last layer.

    Raises ShapeError for an input without 1 to 3 spatial axes, and where groups are left without channels.
    """
    axes = map_axes(input_shape, 1, 2, 3)
    if width * width_per_group < 64:
        message = f"width {width} leaves no channel to each of the {groups} groups"
        raise ShapeError(message, hint=f"take {-(-64 // width_per_group)} or more")
    style = Style(axes, init, normalization, activation)
    blocks = Blocks(style, block == "bottleneck", groups, width_per_group, reduction, variant, shortcut)
    rates = [stochastic_depth * i / sum(stages) for i in range(1, sum(stages) + 1)]
    stack = Stack(input_shape)
    stack.add("stem", partial(_stem, style, input_shape[-1], width, stem, variant))
    for i, depth in enumerate(stages):
        mine, rates = rates[:depth], rates[depth:]
        stack.add(f"stage{i + 1}", partial(blocks.stage, stack.channels, width * 2**i, 2 if i else 1, mine))
    if variant == "v2":
        stack.add("final", partial(_norm_act, style, stack.channels))
    stack.add("pool", GlobalAvgPool)
    if dropout:
        stack.add("dropout", partial(Dropout, dropout))
    stack.add("head", partial(Dense, stack.channels, classes, init=init))
    return stack.build()


NETWORKS: dict[str, Callable[..., nnx.Module]] = {
    "resnet18": partial(resnet, stages=(2, 2, 2, 2), block="basic"),
    "resnet34": partial(resnet, stages=(3, 4, 6, 3), block="basic"),
    "resnet50": partial(resnet, stages=(3, 4, 6, 3), block="bottleneck"),
    "resnet101": partial(resnet, stages=(3, 4, 23, 3), block="bottleneck"),
    "resnet152": partial(resnet, stages=(3, 8, 36, 3), block="bottleneck"),
}

# v1.5 and v1; timm's names are the same.
TORCH_NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "torchvision": (
        (r"stem\.conv", "conv1"),
        (r"stem\.norm", "bn1"),
        (r"stage(\d)\.block(\d+)\.body\.conv(\d)", r"layer\1.\2.conv\3"),
        (r"stage(\d)\.block(\d+)\.body\.norm(\d)", r"layer\1.\2.bn\3"),
        (r"stage(\d)\.block(\d+)\.shortcut\.conv", r"layer\1.\2.downsample.0"),
        (r"stage(\d)\.block(\d+)\.shortcut\.norm", r"layer\1.\2.downsample.1"),
        ("head", "fc"),
    )
}
