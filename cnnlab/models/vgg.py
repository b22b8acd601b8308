"""VGG: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition" (2015).

Configurations A, B, D and E of table 1, plain and with batch normalisation, as in torchvision (convolutions keep
their biases under it). With 1,000 classes VGG-11, 13, 16 and 19 have 132,863,336, 133,047,848, 138,357,544 and
143,667,240 parameters; with batch normalisation 132,868,840, 133,053,736, 138,365,992 and 143,678,248.
"""

from collections.abc import Callable
from functools import partial

from flax import nnx

from cnnlab.layers.compose import Block, Sequential
from cnnlab.layers.conv import Dense
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.pool import AdaptiveAvgPool, MaxPool
from cnnlab.layers.resample import Flatten
from cnnlab.layers.stack import Stack
from cnnlab.models import blocks
from cnnlab.models.blocks import Style

POOLED = 7  # positions on each axis, whatever the input's


def vgg(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    stages: tuple[int, ...],
    batch_norm: bool,
    activation: str = "relu",
    normalization: str | None = None,
    dropout: float = 0.5,
    width: int = 64,
    hidden: int = 4096,
    init: Initializer,
) -> Sequential:
    """[batch, *space, channel] of 32 positions an axis and more to [batch, classes].

    `stages` convolutions of 3x3 before each halving, `width` channels in the first, twice as many in each next up
    to 8 times. `normalization` goes before the variant's own, `batch_norm` or none.
    """
    axes = blocks.map_axes(input_shape, 1, 2, 3)
    style = Style(axes, init, normalization or ("batch" if batch_norm else "none"), activation)
    stack = Stack(input_shape)
    first, layers_a_conv = 0, 2 if style.normalization == "none" else 3
    for i, depth in enumerate(stages):
        widths = (width * min(2**i, 8),) * depth
        stack.add(f"stage{i + 1}", partial(_stage, style, stack.channels, widths, first))
        first += layers_a_conv * depth + 1
    stack.add("classifier", lambda: _classifier(style, stack.channels, hidden, dropout))
    stack.add("head", lambda: Dense(stack.channels, classes, init=init))
    return stack.build()


def _stage(style: Style, in_features: int, widths: tuple[int, ...], first: int) -> Sequential:
    """Convolutions to `widths` channels, and a maximum.

    Layers are numbered through the whole network, from `first` on: those are the numbers in torchvision's names,
    which depend on the variant.
    """
    layers: list[tuple[str, nnx.Module]] = []
    for features in widths:
        layers.append(("conv", style.conv(in_features, features, 3, bias=True)))
        norm = style.norm(features)
        if norm is not None:
            layers.append(("norm", norm))
        layers.append(("act", style.act()))
        in_features = features
    layers.append(("pool", MaxPool(2, axes=style.axes)))
    return Block({f"{kind}{number}": layer for number, (kind, layer) in enumerate(layers, start=first)})


def _classifier(style: Style, in_features: int, hidden: int, dropout: float) -> Sequential:
    return Sequential(
        {
            "pool": AdaptiveAvgPool(POOLED, axes=style.axes),
            "flatten": Flatten(),
            "dense1": Dense(POOLED**style.axes * in_features, hidden, init=style.init),
            "act1": style.act(),
            "dropout1": blocks.dropout(dropout),
            "dense2": Dense(hidden, hidden, init=style.init),
            "act2": style.act(),
            "dropout2": blocks.dropout(dropout),
        }
    )


STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
NETWORKS: dict[str, Callable[..., nnx.Module]] = {
    f"vgg{depth}{suffix}": partial(vgg, stages=stages, batch_norm=bool(suffix))
    for depth, stages in STAGES.items()
    for suffix in ("", "_bn")
}

TORCH_NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "torchvision": (
        (r"stage\d\.(?:conv|norm)(\d+)", r"features.\1"),
        (r"classifier\.dense1", "classifier.0"),
        (r"classifier\.dense2", "classifier.3"),
        (r"head", "classifier.6"),
    ),
    "timm": (  # whose first two dense layers are convolutions over the whole map
        (r"stage\d\.(?:conv|norm)(\d+)", r"features.\1"),
        (r"classifier\.dense(\d)", r"pre_logits.fc\1"),
        (r"head", "head.fc"),
    ),
}
FLATTENED: dict[str, int] = {"classifier.dense1": POOLED}
