"""U-Net: Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation" (2015).

Figure 1 with depth 4 and width 64: 572x572x1 to 388x388x2 with 31,030,658 parameters, the biases of the
up-convolutions among them. Signals and volumes likewise (Çiçek et al. 2016 for volumes), kernels of 3 and 2
along every axis.
"""

from collections.abc import Callable

from flax import nnx
from jax import Array
from jaxtyping import Float

from cnnlab.layers.compose import Block, Sequential, crop_concat
from cnnlab.layers.conv import ConvTranspose, Map
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.pool import MaxPool
from cnnlab.layers.resample import Upsample
from cnnlab.layers.windows import ShapeError, show
from cnnlab.models.blocks import Style, dropout, map_axes


class UNet(nnx.Module):
    """[batch, *space, channel] to logits for every position, [batch, *new_space, classes].

    The contracting path: `down1`, `down2`, ... `bottom`, each two 3x3 convolutions, from the second on behind a
    2x2 maximum. The expansive path: `upsample1` doubles the map below level 1 and halves its channels, the map
    of `down1` cropped to the same size comes before it in the channels, and `up1` is two convolutions again.
    Last a 1x1 convolution, `head`; where several heads stand there, their outputs come by name.

    `padding`: "valid" as in the paper, the output smaller by 12 * 2^depth - 8; "same" keeps the size.
    `upsampling`: "conv_transpose", the paper's 2x2 up-convolution; "nearest" and "bilinear" have no weights, and
    a 1x1 convolution halves the channels. It stands before the enlargement, where it costs a quarter: after it
    the result would be the same, as both methods take weighted means.
    `normalization`: after each 3x3 convolution, which then has no bias.
    `dropout`: after the last level's and the bottom's convolutions, where the authors' network has it.

    Raises ShapeError for an input without 1 to 3 spatial axes, or of a size that the pools cannot halve.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        classes: int,
        *,
        depth: int = 4,
        width: int = 64,
        padding: str = "valid",
        upsampling: str = "conv_transpose",
        activation: str = "relu",
        normalization: str = "none",
        dropout: float = 0.0,
        init: Initializer,
    ):
        axes, in_features = map_axes(input_shape, 1, 2, 3), input_shape[-1]
        _check_sizes(input_shape[:-1], depth, padding)
        style = Style(axes, init, normalization, activation)
        self.levels = tuple(range(1, depth + 1))
        for level in self.levels:
            features, rate = width * 2 ** (level - 1), dropout if level == depth else 0.0
            part = _convolutions(style, in_features, features, padding, pool=level > 1, rate=rate)
            setattr(self, f"down{level}", part)
            in_features = features
        self.bottom = _convolutions(style, in_features, 2 * in_features, padding, pool=True, rate=dropout)
        for level in reversed(self.levels):
            features = width * 2 ** (level - 1)
            setattr(self, f"upsample{level}", _UPSAMPLINGS[upsampling](style, features))
            setattr(self, f"up{level}", _convolutions(style, 2 * features, features, padding))
        self.head = style.conv(width, classes, 1, bias=True)

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> Float[Array, "batch *new_space classes"] | dict[str, Array]:
        skips: list[Array] = []
        for level in self.levels:
            x = getattr(self, f"down{level}")(x, mode.child(level))
            skips.append(x)
        x = self.bottom(x, mode.child(0))
        for level in reversed(self.levels):
            x = getattr(self, f"upsample{level}")(x)
            x = getattr(self, f"up{level}")(crop_concat(skips.pop(), x), mode.child(len(self.levels) + level))
        return self.head(x, mode.child(2 * len(self.levels) + 1))


def _convolutions(
    style: Style, in_features: int, features: int, padding: str, *, pool: bool = False, rate: float = 0.0
) -> Sequential:
    """A level of figure 1: where a `pool` is due it comes first, dropout last."""
    layers: dict[str, nnx.Module | None] = {"pool": MaxPool(2, axes=style.axes) if pool else None}
    for i, channels in ((1, in_features), (2, features)):
        layers[f"conv{i}"] = style.conv(channels, features, 3, padding=padding, bias=style.bias)
        layers[f"norm{i}"] = style.norm(features)
        layers[f"act{i}"] = style.act()
    layers["dropout"] = dropout(rate)
    return Block(layers)


def _up_convolution(style: Style, features: int) -> ConvTranspose:
    return ConvTranspose(2 * features, features, 2, axes=style.axes, stride=2, padding="valid", init=style.init)


def _interpolation(method: str) -> Callable[[Style, int], Sequential]:
    def make(style: Style, features: int) -> Sequential:
        conv = style.conv(2 * features, features, 1, bias=True)
        return Sequential({"conv": conv, "upsample": Upsample(2, axes=style.axes, method=method)})

    return make


# Each from twice the features to the features, on a map of twice the size.
_UPSAMPLINGS: dict[str, Callable[[Style, int], nnx.Module]] = {
    "conv_transpose": _up_convolution,
    "nearest": _interpolation("nearest"),
    "bilinear": _interpolation("bilinear"),
}


def _check_sizes(space: tuple[int, ...], depth: int, padding: str) -> None:
    """Raises ShapeError unless every pool meets an even size and, with "valid", something is left at the end."""
    below, above = zip(*(_nearest(size, depth, padding) for size in space), strict=True)
    if below == above == space:
        return
    if padding == "same":
        rule = f"the map is {show(space)} here, and {2**depth} does not divide its sizes"
        raise ShapeError(rule, hint=f"give it {_either(below, above)}")
    raise ShapeError(
        f"the map is {show(space)} here, and valid convolutions need sizes of {2**depth} k - 4, "
        f"from {_smallest(depth, padding)} on",
        hint=f"give it {_either(below, above)}, or set padding: same",
    )


def _nearest(size: int, depth: int, padding: str) -> tuple[int | None, int]:
    """The largest size that works up to `size`, if there is one, and the smallest from it on.

    Each level takes 4 positions from a map and halves it, so that below level i a size n is (n + 4) / 2^i - 4.
    """
    step, lost = 2**depth, 4 if padding == "valid" else 0
    smallest = _smallest(depth, padding)
    below = (size + lost) // step * step - lost
    above = -(-(size + lost) // step) * step - lost
    return (below if below >= smallest else None), max(above, smallest)


def _smallest(depth: int, padding: str) -> int:
    """The bottom's map has 1 position, or with "valid" 8 (7 with one level): of m, 2^depth (m - 8) + 4 come out."""
    if padding == "same":
        return 2**depth
    return 2**depth * (11 if depth == 1 else 12) - 4


def _either(below: tuple[int | None, ...], above: tuple[int, ...]) -> str:
    """`556x556 or 572x572`, or the larger one alone."""
    whole = tuple(size for size in below if size is not None)
    return f"{show(whole)} or {show(above)}" if len(whole) == len(above) else show(above)


NETWORKS: dict[str, Callable[..., nnx.Module]] = {"unet": UNet}
