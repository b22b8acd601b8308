"""What a spec's `loss` may say."""

from typing import Literal

from cnnlab.spec.types import Frozen, Rate


class Loss(Frozen):
    name: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Rate = 0.0
