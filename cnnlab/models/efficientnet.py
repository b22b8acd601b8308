"""EfficientNet: Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks" (2019).

B0 is table 1: MBConv blocks (1x1 to `ratio` times the channels, depthwise k x k, squeeze-and-excitation, 1x1 without
activation). As torchvision has them: B5 to B7 with their own epsilon and momentum, padding of half the kernel,
stochastic depth in the blocks that add their input. Compound scaling (eq. 3) multiplies channels by 1.1^phi and
blocks by 1.2^phi; the published B1 to B7 take the rounded factors of SCALES instead.

Parameters with 1,000 classes, B0 to B7: 5,288,548; 7,794,184; 9,109,994; 12,233,232; 19,341,616; 30,389,784;
43,040,704; 66,347,960.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from flax import nnx

from cnnlab.errors import SpecError
from cnnlab.layers.compose import Block, Residual, Sequential
from cnnlab.layers.conv import Dense
from cnnlab.layers.gate import SqueezeExcite
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.pool import GlobalAvgPool
from cnnlab.layers.regularize import Dropout, StochasticDepth
from cnnlab.layers.stack import Stack
from cnnlab.models.blocks import Style, map_axes, round_channels

# Table 1, stages 2 to 8: ratio, kernel, stride, channels, blocks. The stem has 32 channels, the top 1280.
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


@dataclass(frozen=True)
class Scale:
    """What tells the sizes apart: factors of the channels and of the blocks, dropout, batch normalisation's numbers."""

    width: float
    depth: float
    dropout: float
    epsilon: float = 1e-5
    momentum: float = 0.9

    def channels(self, features: int) -> int:
        return round_channels(features * self.width)

    def blocks(self, count: int) -> int:
        return math.ceil(count * self.depth)


SCALES = {
    "efficientnet_b0": Scale(1.0, 1.0, 0.2),
    "efficientnet_b1": Scale(1.0, 1.1, 0.2),
    "efficientnet_b2": Scale(1.1, 1.2, 0.3),
    "efficientnet_b3": Scale(1.2, 1.4, 0.3),
    "efficientnet_b4": Scale(1.4, 1.8, 0.4),
    "efficientnet_b5": Scale(1.6, 2.2, 0.4, 1e-3, 0.99),
    "efficientnet_b6": Scale(1.8, 2.6, 0.5, 1e-3, 0.99),
    "efficientnet_b7": Scale(2.0, 3.1, 0.5, 1e-3, 0.99),
}
# Pixels a side that each was published for.
RESOLUTIONS = dict(zip(SCALES, (224, 240, 260, 300, 380, 456, 528, 600), strict=True))


def compound_scale(coefficient: float) -> Scale:
    """Equation 3 with alpha 1.2 and beta 1.1 (section 4); dropout rises from 0.2 at 0 to 0.5 at 7 (section 5.2)."""
    return Scale(1.1**coefficient, 1.2**coefficient, 0.2 + 0.3 * min(max(coefficient, 0.0), 7.0) / 7)


def _mbconv(
    style: Style, in_features: int, features: int, *, ratio: int, kernel: int, stride: int, rate: float
) -> nnx.Module:
    """A block: the body, and its input added where the shapes are the same."""
    inner, adds = in_features * ratio, stride == 1 and in_features == features
    body = Sequential(
        {
            "expand": style.conv_norm_act(in_features, inner, 1) if ratio != 1 else None,
            "depthwise": style.conv_norm_act(inner, inner, kernel, stride=stride, groups=inner),
            "gate": SqueezeExcite(
                inner, in_features // 4, axes=style.axes, activation=style.activation, init=style.init
            ),
            "project": Sequential(
                {"conv": style.conv(inner, features, 1, bias=style.bias), "norm": style.norm(features)}
            ),
            "stochastic_depth": StochasticDepth(rate) if adds and rate else None,
        }
    )
    return Residual(body) if adds else Block({"body": body})


def _stage(
    style: Style, in_features: int, features: int, *, ratio: int, kernel: int, stride: int, rates: list[float]
) -> Sequential:
    """One block for each rate of stochastic depth; the first has the stride and changes the channels."""
    blocks = {}
    for i, rate in enumerate(rates):
        blocks[f"block{i}"] = _mbconv(
            style, in_features, features, ratio=ratio, kernel=kernel, stride=1 if i else stride, rate=rate
        )
        in_features = features
    return Sequential(blocks)


def efficientnet(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    scale: Scale | None = None,
    coefficient: float | None = None,
    activation: str = "swish",
    normalization: str = "batch",
    dropout: float | None = None,
    stochastic_depth: float = 0.2,
    init: Initializer,
) -> Sequential:
    """[batch, *space, channel] to [batch, classes]: a stem, seven stages, a 1x1 convolution, a head.

    `scale` is a published one; without it a `coefficient` phi scales B0, which has 0. Of n blocks the i-th, counted
    from 0, is skipped in training with probability stochastic_depth i / n, if it adds its input.

    Raises ShapeError for an input without 1 to 3 spatial axes, SpecError where both `scale` and `coefficient` are
    given.
    """
    axes = map_axes(input_shape, 1, 2, 3)
    if scale is None:
        scale = compound_scale(coefficient or 0.0)
    elif coefficient is not None:
        message = f"{coefficient:g}, and a published network has its own scale"
        raise SpecError(message, where="model.coefficient", hint="leave it out, or take name: efficientnet")
    style = Style(axes, init, normalization, activation, scale.epsilon, scale.momentum)
    total = sum(scale.blocks(count) for *_, count in STAGES)
    rates = [stochastic_depth * i / total for i in range(total)]
    stack = Stack(input_shape)
    stack.add("stem", partial(style.conv_norm_act, stack.channels, scale.channels(32), 3, stride=2))
    for i, (ratio, kernel, stride, channels, count) in enumerate(STAGES, start=1):
        mine, rates = rates[: scale.blocks(count)], rates[scale.blocks(count) :]
        make = partial(_stage, style, stack.channels, scale.channels(channels))
        stack.add(f"stage{i}", partial(make, ratio=ratio, kernel=kernel, stride=stride, rates=mine))
    stack.add("top", partial(style.conv_norm_act, stack.channels, scale.channels(1280), 1))
    stack.add("pool", GlobalAvgPool)
    rate = scale.dropout if dropout is None else dropout
    if rate:
        stack.add("dropout", partial(Dropout, rate))
    stack.add("head", partial(Dense, stack.channels, classes, init=init))
    return stack.build()


NETWORKS: dict[str, Callable[..., nnx.Module]] = {
    "efficientnet": efficientnet,
    **{name: partial(efficientnet, scale=scale) for name, scale in SCALES.items()},
}


def _rules(stage: str, to: str, parts: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (rf"stage{stage}\.block(\d+)\.body\.{re.escape(part)}", f"{to}.{name}") for part, name in parts.items()
    )


# Stage 1 has no expansion, so that its parts are counted differently.
_TORCHVISION_FIRST = {
    "depthwise.conv": "0.0",
    "depthwise.norm": "0.1",
    "gate.reduce": "1.fc1",
    "gate.expand": "1.fc2",
    "project.conv": "2.0",
    "project.norm": "2.1",
}
_TORCHVISION = {
    "expand.conv": "0.0",
    "expand.norm": "0.1",
    "depthwise.conv": "1.0",
    "depthwise.norm": "1.1",
    "gate.reduce": "2.fc1",
    "gate.expand": "2.fc2",
    "project.conv": "3.0",
    "project.norm": "3.1",
}
_TIMM_GATE = {"gate.reduce": "se.conv_reduce", "gate.expand": "se.conv_expand"}
_TIMM_FIRST = {
    "depthwise.conv": "conv_dw",
    "depthwise.norm": "bn1",
    "project.conv": "conv_pw",
    "project.norm": "bn2",
    **_TIMM_GATE,
}
_TIMM = {
    "expand.conv": "conv_pw",
    "expand.norm": "bn1",
    "depthwise.conv": "conv_dw",
    "depthwise.norm": "bn2",
    "project.conv": "conv_pwl",
    "project.norm": "bn3",
    **_TIMM_GATE,
}
TORCH_NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "torchvision": (
        (r"stem\.conv", "features.0.0"),
        (r"stem\.norm", "features.0.1"),
        *_rules("1", r"features.1.\1.block", _TORCHVISION_FIRST),
        *_rules("([2-7])", r"features.\1.\2.block", _TORCHVISION),
        (r"top\.conv", "features.8.0"),
        (r"top\.norm", "features.8.1"),
        ("head", "classifier.1"),
    ),
    "timm": (
        (r"stem\.conv", "conv_stem"),
        (r"stem\.norm", "bn1"),
        *_rules("1", r"blocks.0.\1", _TIMM_FIRST),
        *(rule for stage in range(2, 8) for rule in _rules(str(stage), rf"blocks.{stage - 1}.\1", _TIMM)),
        (r"top\.conv", "conv_head"),
        (r"top\.norm", "bn2"),
        ("head", "classifier"),
    ),
}
