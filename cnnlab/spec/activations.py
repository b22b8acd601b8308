"""The activations of `layers:`, and the names of those that stand beside other settings."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cnnlab.spec.layer import LayerSpec, word
from cnnlab.spec.types import Bool, NonNegativeFloat, PositiveFloat

ActivationName = Literal[
    "identity",
    "hard_threshold",
    "relu",
    "leaky_relu",
    "prelu",
    "elu",
    "gelu",
    "sigmoid",
    "tanh",
    "scaled_tanh",
    "softplus",
    "swish",
    "sine",
]

Identity = word("identity", "x.", __name__)
HardThreshold = word("hard_threshold", "1 where x > 0, else 0; nothing before it learns.", __name__)
Relu = word("relu", "max(x, 0).", __name__)
Gelu = word("gelu", "x times the normal distribution's probability of less than x.", __name__)
Sigmoid = word("sigmoid", "1 / (1 + exp(-x)).", __name__)
Tanh = word("tanh", "The hyperbolic tangent.", __name__)
ScaledTanh = word("scaled_tanh", "1.7159 tanh(2x / 3).", __name__)
Softmax = word("softmax", "exp(x) over its sum along the channels.", __name__)


class LeakyRelu(LayerSpec, kind="leaky_relu"):
    short: ClassVar[str | None] = "slope"
    slope: NonNegativeFloat = 0.01


class Prelu(LayerSpec, kind="prelu"):
    """A leaky ReLU whose slope is learned, from 1/4 on."""

    shared: Bool = Field(default=False, description="one slope for all channels")


class Elu(LayerSpec, kind="elu"):
    """x where positive, alpha (exp(x) - 1) elsewhere."""

    alpha: PositiveFloat = 1.0


class Softplus(LayerSpec, kind="softplus"):
    """log(1 + exp(beta x)) / beta."""

    beta: PositiveFloat = 1.0


class Swish(LayerSpec, kind="swish"):
    """x sigmoid(beta x)."""

    beta: NonNegativeFloat = 1.0
    learned: Bool = Field(default=False, description="whether beta is learned, from the given one on")


class Sine(LayerSpec, kind="sine"):
    """sin(frequency x)."""

    frequency: PositiveFloat = 1.0
