"""What a spec's `data.augment` may say."""

from typing import Annotated, Literal

from pydantic import Field

from cnnlab.spec.types import Frozen, NonNegativeFloat, NonNegativeInt


class Augmentation(Frozen):
    """One entry of `augment`: exactly one of these, each drawn anew for every example and epoch."""

    shift: NonNegativeInt | None = Field(default=None, description="up to so many pixels along every axis")
    rotate: Annotated[NonNegativeFloat, Field(le=180)] | None = Field(default=None, description="up to so many degrees")
    flip: Literal["horizontal", "vertical", "both"] | None = Field(default=None, description="with probability 1/2")
    noise: NonNegativeFloat | None = Field(default=None, description="normal, in standard deviations of the data")
