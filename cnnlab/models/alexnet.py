"""AlexNet: Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (2014), as in torchvision.

One column instead of the two of Krizhevsky, Sutskever and Hinton (2012), and no local response normalisation.
61,100,840 parameters with 1,000 classes.
"""

from collections.abc import Callable

from flax import nnx

from cnnlab.layers.compose import Sequential
from cnnlab.layers.conv import Dense
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.pool import AdaptiveAvgPool, MaxPool
from cnnlab.layers.resample import Flatten
from cnnlab.layers.stack import Stack
from cnnlab.models import blocks
from cnnlab.models.blocks import Style

POOLED = 6  # positions on each axis, whatever the input's


def alexnet(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    activation: str = "relu",
    normalization: str = "none",
    dropout: float = 0.5,
    hidden: int = 4096,
    init: Initializer,
) -> Sequential:
    """[batch, height, width, channel] of 63 pixels and more to [batch, classes]; at 224 the maps are 27, 13, 6.

    A normalisation follows each convolution, whose bias it replaces.
    """
    style = Style(blocks.map_axes(input_shape, 2), init, normalization, activation)
    stack = Stack(input_shape)
    stack.add("stage1", lambda: _stage(style, stack.channels, (64,), 11, stride=4, padding=2))
    stack.add("stage2", lambda: _stage(style, stack.channels, (192,), 5))
    stack.add("stage3", lambda: _stage(style, stack.channels, (384, 256, 256), 3))
    stack.add("classifier", lambda: _classifier(style, stack.channels, hidden, dropout))
    stack.add("head", lambda: Dense(stack.channels, classes, init=init))
    return stack.build()


def _stage(
    style: Style,
    in_features: int,
    widths: tuple[int, ...],
    kernel: int,
    *,
    stride: int = 1,
    padding: int | None = None,
) -> Sequential:
    """Convolutions to `widths` channels, and an overlapping maximum."""
    layers: dict[str, nnx.Module | None] = {}
    for i, features in enumerate(widths, start=1):
        bias = style.normalization == "none"
        layers[f"conv{i}"] = style.conv(in_features, features, kernel, stride=stride, padding=padding, bias=bias)
        layers[f"norm{i}"] = style.norm(features)
        layers[f"act{i}"] = style.act()
        in_features = features
    layers["pool"] = MaxPool(3, axes=style.axes, stride=2)
    return Sequential(layers)


def _classifier(style: Style, in_features: int, hidden: int, dropout: float) -> Sequential:
    return Sequential(
        {
            "pool": AdaptiveAvgPool(POOLED, axes=style.axes),
            "flatten": Flatten(),
            "dropout1": blocks.dropout(dropout),
            "dense1": Dense(POOLED**style.axes * in_features, hidden, init=style.init),
            "act1": style.act(),
            "dropout2": blocks.dropout(dropout),
            "dense2": Dense(hidden, hidden, init=style.init),
            "act2": style.act(),
        }
    )


NETWORKS: dict[str, Callable[..., nnx.Module]] = {"alexnet": alexnet}

TORCH_NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "torchvision": (
        (r"stage1\.conv1", "features.0"),
        (r"stage2\.conv1", "features.3"),
        (r"stage3\.conv1", "features.6"),
        (r"stage3\.conv2", "features.8"),
        (r"stage3\.conv3", "features.10"),
        (r"classifier\.dense1", "classifier.1"),
        (r"classifier\.dense2", "classifier.4"),
        (r"head", "classifier.6"),
    )
}
FLATTENED: dict[str, int] = {"classifier.dense1": POOLED}
