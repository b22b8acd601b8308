"""A convolution or dense layer as two with few channels between them: a kernel of low rank."""

from flax import nnx

from cnnlab.layers.compose import Sequential
from cnnlab.layers.conv import Conv, Dense
from cnnlab.layers.initialize import Initializer

BASIS, MIX = "basis", "mix"


def low_rank(layer: Conv | Dense, rank: int, *, init: Initializer) -> Sequential:
    """`basis`, the layer with `rank` outputs and no bias, then `mix`, a 1x1 convolution (or dense) to its features.

    The form of Zhang, Zou, He and Sun 2016, section 3.1: it holds for any number of axes, strides and dilations,
    where factors along single axes (Jaderberg, Vedaldi and Zisserman 2014) need a window wider than 1.
    """
    inside, features = layer.kernel[...].shape[-2:]
    bias = layer.bias is not None
    if isinstance(layer, Dense):
        parts = Dense(inside, rank, bias=False, init=init), Dense(rank, features, bias=bias, init=init)
        return Sequential(dict(zip((BASIS, MIX), parts, strict=True)))
    axes = len(layer.window)
    basis = Conv(
        inside,
        rank,
        layer.window,
        axes=axes,
        stride=layer.stride,
        padding=layer.padding,
        padding_mode=layer.padding_mode,
        dilation=layer.dilation,
        bias=False,
        init=init,
    )
    return Sequential({BASIS: basis, MIX: Conv(rank, features, 1, axes=axes, bias=bias, init=init)})


def factorizable(layer: nnx.Module | None) -> bool:
    """Whether `low_rank` takes the layer: a dense one, or a convolution without groups."""
    return type(layer) is Dense or (type(layer) is Conv and layer.groups == 1)
