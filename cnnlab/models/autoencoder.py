"""Convolutional encoder and decoder: Masci, Meier, Cireşan and Schmidhuber, "Stacked convolutional auto-encoders
for hierarchical feature extraction" (2011).

The maps shrink by convolutions of stride 2 where the paper has maximum pooling, and grow by transposed ones (as
in Radford, Metz and Chintala 2016). An encoder's parts have the same paths, `encoder.*`, with a classifier behind
it and in an autoencoder, so that the weights of one fit the other; a decoder's likewise, `decoder.*`. With the
options' defaults 32x32x1 and ten classes: encoder 224,682 parameters, autoencoder 448,001, decoder from 64
features 223,969.
"""

from collections.abc import Callable
from functools import partial
from math import prod

from flax import nnx

from cnnlab.layers.activation import ACTIVATIONS
from cnnlab.layers.compose import Sequential
from cnnlab.layers.conv import ConvTranspose, Dense
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.resample import Flatten, Unflatten
from cnnlab.layers.stack import Stack
from cnnlab.layers.windows import ShapeError, show
from cnnlab.models.blocks import Style, map_axes


def conv_encoder(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    widths: tuple[int, ...] = (32, 64, 128),
    code: int = 64,
    activation: str = "relu",
    normalization: str = "batch",
    init: Initializer,
) -> Sequential:
    """[batch, *space, channel] to a code of `code` features, and by an activation and `head` to [batch, classes].

    One stage a width: a 3x3 convolution of stride 2 that rounds an odd size up, normalisation, activation. One
    to three spatial axes, of any size; raises ShapeError for others.
    """
    style = Style(map_axes(input_shape, 1, 2, 3), init, normalization, activation)
    stack = Stack(input_shape)
    stack.add("encoder", lambda: _encoder(style, stack.shape, widths, code))
    stack.add("act", style.act)
    stack.add("head", lambda: Dense(stack.channels, classes, init=init))
    return stack.build()


def conv_autoencoder(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    widths: tuple[int, ...] = (32, 64, 128),
    code: int = 64,
    activation: str = "relu",
    normalization: str = "batch",
    output: str = "identity",
    init: Initializer,
) -> Sequential:
    """[batch, *space, channel] to the same shape by way of a code, which is linear in what comes before it.

    The encoder of `conv_encoder`, and the decoder with its widths reversed. `classes` is not used: the output is
    a map. One to three spatial axes, of any size; raises ShapeError for others.
    """
    style = Style(map_axes(input_shape, 1, 2, 3), init, normalization, activation)
    stack = Stack(input_shape)
    stack.add("encoder", lambda: _encoder(style, stack.shape, widths, code))
    stack.add("decoder", lambda: _decoder(style, stack.channels, widths[::-1], input_shape, output))
    return stack.build()


def conv_decoder(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    shape: tuple[int, ...] = (32, 32, 1),
    widths: tuple[int, ...] = (128, 64, 32),
    activation: str = "relu",
    normalization: str = "batch",
    output: str = "identity",
    init: Initializer,
) -> Sequential:
    """[batch, features] to a map [batch, *shape]; `classes` is not used.

    A dense layer to the smallest map with the first of `widths` channels, and one transposed convolution of
    stride 2 a width. Raises ShapeError for an input that is no vector.
    """
    if len(input_shape) != 1:
        raise ShapeError(
            f"takes a vector of features, and the input is {show(input_shape)}",
            hint="use conv_autoencoder, which makes one from a map",
        )
    style = Style(map_axes(shape, 1, 2, 3), init, normalization, activation)
    stack = Stack(input_shape)
    stack.add("decoder", lambda: _decoder(style, stack.channels, widths, shape, output))
    return stack.build()


def _encoder(style: Style, input_shape: tuple[int, ...], widths: tuple[int, ...], code: int) -> Sequential:
    """`stage1`, `stage2`, ... and `code`."""
    stack = Stack(input_shape)
    for i, width in enumerate(widths, start=1):
        stack.add(f"stage{i}", lambda width=width: style.conv_norm_act(stack.channels, width, 3, stride=2))
    stack.add("flatten", Flatten)
    stack.add("code", lambda: Dense(stack.channels, code, init=style.init))
    return stack.build()


def _decoder(style: Style, features: int, widths: tuple[int, ...], shape: tuple[int, ...], output: str) -> Sequential:
    """`dense` to the map that as many stages of an encoder make of `shape`; `stage1`, ... `output` back to it."""
    *space, channels = shape
    sizes = [tuple(space)]
    for _ in widths:
        sizes.append(tuple(-(-n // 2) for n in sizes[-1]))
    smallest = (*sizes.pop(), widths[0])
    stack = Stack((features,))
    stack.add("dense", lambda: Dense(features, prod(smallest), bias=style.bias, init=style.init))
    stack.add("unflatten", lambda: Unflatten(smallest))
    stack.add("start", lambda: Sequential({"norm": style.norm(widths[0]), "act": style.act()}))

    def stage(width: int, size: tuple[int, ...]) -> Sequential:
        conv = _enlarging(style, stack.channels, width, size, bias=style.bias)
        return Sequential({"conv": conv, "norm": style.norm(width), "act": style.act()})

    def last(size: tuple[int, ...]) -> Sequential:
        conv = _enlarging(style, stack.channels, channels, size, bias=True)
        return Sequential({"conv": conv, "act": ACTIVATIONS[output]()})

    for i, width in enumerate(widths[1:], start=1):
        stack.add(f"stage{i}", partial(stage, width, sizes.pop()))
    stack.add("output", partial(last, sizes.pop()))
    return stack.build()


def _enlarging(style: Style, in_features: int, features: int, size: tuple[int, ...], *, bias: bool) -> ConvTranspose:
    """To a map of `size`: transposed, the 3x3 convolution of stride 2 that makes a map like ours of one like that.

    That one pads 1 position on each side; of an even size its last window does not reach the one behind.
    """
    cuts = tuple((1, n % 2) for n in size)
    return ConvTranspose(in_features, features, 3, axes=style.axes, stride=2, padding=cuts, bias=bias, init=style.init)


NETWORKS: dict[str, Callable[..., nnx.Module]] = {
    "conv_encoder": conv_encoder,
    "conv_decoder": conv_decoder,
    "conv_autoencoder": conv_autoencoder,
}
