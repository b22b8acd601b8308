"""GoogLeNet: Szegedy et al., "Going deeper with convolutions" (2015), as in torchvision.

That is with batch normalisation (epsilon 0.001), without local response normalisation, the module's "5x5" branch
a 3x3, and auxiliary classifiers whose pool is adaptive. With 1,000 classes 13,004,888 parameters, 6,624,904 without
the auxiliary classifiers.
"""

from collections.abc import Callable, Mapping

from flax import nnx
from jax import Array

from cnnlab.layers.compose import Branches, Sequential
from cnnlab.layers.conv import Dense
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.pool import AdaptiveAvgPool, GlobalAvgPool, MaxPool
from cnnlab.layers.regularize import Dropout
from cnnlab.layers.resample import Flatten
from cnnlab.layers.stack import Stack
from cnnlab.models import blocks
from cnnlab.models.blocks import Style
from cnnlab.models.heads import Heads

# Table 1: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj.
INCEPTIONS: dict[str, tuple[int, int, int, int, int, int]] = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
POOL_AFTER = {"3b": 3, "4e": 2}  # its window; the stride is 2
AUXILIARY = {"inception4a": "aux1", "inception4d": "aux2"}  # a part, and the classifier that reads it
AUXILIARY_WEIGHT = 0.3  # section 5
POOLED = 4  # positions on each axis before an auxiliary classifier


class GoogLeNet(nnx.Module):
    """[batch, *space, channel] to [batch, classes]; in training to `Heads` if there are auxiliary classifiers.

    `parts` follow one another; `auxiliary` are the classifiers by the part that each one reads.
    """

    def __init__(self, parts: Mapping[str, nnx.Module], auxiliary: Mapping[str, nnx.Module]):
        self.order, self.taps = tuple(parts), tuple(auxiliary)
        for name, part in parts.items():
            setattr(self, name, part)
        for name, classifier in auxiliary.items():
            setattr(self, AUXILIARY[name], classifier)

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array | Heads | dict[str, Array]:
        heads: list[Array] = []
        for i, name in enumerate(self.order):
            x = getattr(self, name)(x, mode.child(i))
            if mode.train and name in self.taps:
                heads.append(getattr(self, AUXILIARY[name])(x, mode.child(len(self.order) + len(heads))))
        return Heads(x, tuple(heads), AUXILIARY_WEIGHT) if heads else x


def googlenet(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    inceptions: Mapping[str, tuple[int, ...]] = INCEPTIONS,
    auxiliary: bool = True,
    activation: str = "relu",
    normalization: str = "batch",
    dropout: float = 0.2,
    auxiliary_dropout: float = 0.7,
    init: Initializer,
) -> GoogLeNet:
    """For inputs of 15 positions an axis and more; at 224 the maps are 112, 56, 28, 14, 7 (table 1)."""
    style = Style(blocks.map_axes(input_shape, 1, 2, 3), init, normalization, activation, epsilon=0.001)
    stack, heads = Stack(input_shape), {}
    stack.add("stem", lambda: _stem(style, stack.channels))
    for name, widths in inceptions.items():
        part = f"inception{name}"
        stack.add(part, lambda widths=widths: _inception(style, stack.channels, widths))
        if auxiliary and part in AUXILIARY:
            heads[part] = _auxiliary(style, stack.channels, classes, auxiliary_dropout)
        if name in POOL_AFTER:
            stack.add(f"pool{name[0]}", lambda window=POOL_AFTER[name]: _pool(style, window))
    stack.add("pool", GlobalAvgPool)
    if dropout:
        stack.add("dropout", lambda: Dropout(dropout))
    stack.add("head", lambda: Dense(stack.channels, classes, init=init))
    return GoogLeNet(stack.layers, heads)


def _pool(style: Style, window: int) -> MaxPool:
    """The maximum of every second window; the last may reach past the end, as in torchvision's ceil mode."""
    return MaxPool(window, axes=style.axes, stride=2, padding="ceil")


def _stem(style: Style, in_features: int) -> Sequential:
    conv = style.conv_norm_act
    return Sequential(
        {
            "conv1": conv(in_features, 64, 7, stride=2),
            "pool1": _pool(style, 3),
            "conv2": conv(64, 64, 1),
            "conv3": conv(64, 192, 3),
            "pool2": _pool(style, 3),
        }
    )


def _inception(style: Style, in_features: int, widths: tuple[int, ...]) -> Branches:
    """Four branches joined over channels (figure 2b)."""
    one, reduce3, three, reduce5, five, project = widths
    conv, pool = style.conv_norm_act, MaxPool(3, axes=style.axes, stride=1, padding=1)
    return Branches(
        {
            "branch1": conv(in_features, one, 1),
            "branch2": Sequential({"reduce": conv(in_features, reduce3, 1), "expand": conv(reduce3, three, 3)}),
            "branch3": Sequential({"reduce": conv(in_features, reduce5, 1), "expand": conv(reduce5, five, 3)}),
            "branch4": Sequential({"pool": pool, "project": conv(in_features, project, 1)}),
        }
    )


def _auxiliary(style: Style, in_features: int, classes: int, dropout: float) -> Sequential:
    """A classifier on a map in the middle (section 5)."""
    return Sequential(
        {
            "pool": AdaptiveAvgPool(POOLED, axes=style.axes),
            "conv": style.conv_norm_act(in_features, 128, 1),
            "flatten": Flatten(),
            "dense": Dense(POOLED**style.axes * 128, 1024, init=style.init),
            "act": style.act(),
            "dropout": blocks.dropout(dropout),
            "head": Dense(1024, classes, init=style.init),
        }
    )


NETWORKS: dict[str, Callable[..., nnx.Module]] = {"googlenet": googlenet}

# Where a convolution stands with its normalisation, ours and torchvision's.
_CONVOLUTIONS = (
    (r"stem\.(conv\d)", r"\1"),
    (r"(inception\w+\.branch1)", r"\1"),
    (r"(inception\w+\.branch[23])\.reduce", r"\1.0"),
    (r"(inception\w+\.branch[23])\.expand", r"\1.1"),
    (r"(inception\w+\.branch4)\.project", r"\1.1"),
    (r"(aux\d\.conv)", r"\1"),
)
TORCH_NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "torchvision": (
        *((rf"{ours}\.conv", f"{theirs}.conv") for ours, theirs in _CONVOLUTIONS),
        *((rf"{ours}\.norm", f"{theirs}.bn") for ours, theirs in _CONVOLUTIONS),
        (r"(aux\d)\.dense", r"\1.fc1"),
        (r"(aux\d)\.head", r"\1.fc2"),
        (r"head", "fc"),
    )
}
FLATTENED: dict[str, int] = {"aux1.dense": POOLED, "aux2.dense": POOLED}
