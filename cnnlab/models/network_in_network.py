"""Network in Network: Lin, Chen and Yan, "Network in network" (2014), the form for CIFAR-10.

Three mlpconv blocks, each a convolution with two 1x1 after it, dropout between them, and the global average of a
map a class instead of dense layers. Widths and pools are those of the code that the authors released with the paper.
966,986 parameters at 3 channels with ten classes.
"""

from collections.abc import Callable

from flax import nnx

from cnnlab.layers.compose import Block, Sequential
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.pool import AvgPool, GlobalAvgPool, MaxPool
from cnnlab.layers.stack import Stack
from cnnlab.models import blocks
from cnnlab.models.blocks import Style


def network_in_network(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    activation: str = "relu",
    normalization: str = "none",
    dropout: float = 0.5,
    init: Initializer,
) -> Sequential:
    """[batch, *space, channel] of 4 positions an axis and more to [batch, classes]; at 32 the maps are 16 and 8.

    The last 1x1 convolution, to a map a class, is the `head`. A normalisation follows every other one, whose bias
    it replaces.
    """
    style = Style(blocks.map_axes(input_shape, 1, 2, 3), init, normalization, activation)

    def stage1() -> Sequential:
        # Windows of 3 at every second position; the last may reach past the end (`ceil`), as in Caffe.
        pool = MaxPool(3, axes=style.axes, stride=2, padding="ceil")
        layers = _mlpconv(style, stack.channels, (192, 160, 96), 5)
        return Block({**layers, "pool": pool, "dropout": blocks.dropout(dropout)})

    def stage2() -> Sequential:
        pool = AvgPool(3, axes=style.axes, stride=2, padding="ceil")
        layers = _mlpconv(style, stack.channels, (192, 192, 192), 5)
        return Block({**layers, "pool": pool, "dropout": blocks.dropout(dropout)})

    stack = Stack(input_shape)
    stack.add("stage1", stage1)
    stack.add("stage2", stage2)
    stack.add("stage3", lambda: Block(_mlpconv(style, stack.channels, (192, 192), 3)))
    stack.add("head", lambda: style.conv(stack.channels, classes, 1, bias=True))
    stack.add("act", style.act)
    stack.add("pool", GlobalAvgPool)
    return stack.build()


def _mlpconv(style: Style, in_features: int, widths: tuple[int, ...], kernel: int) -> dict[str, nnx.Module | None]:
    """A convolution, then 1x1 ones: an MLP that slides over the map (section 3.1, equation 2)."""
    layers: dict[str, nnx.Module | None] = {}
    for i, features in enumerate(widths, start=1):
        layers[f"conv{i}"] = style.conv_norm_act(in_features, features, kernel if i == 1 else 1)
        in_features = features
    return layers


NETWORKS: dict[str, Callable[..., nnx.Module]] = {"network_in_network": network_in_network}
