"""What a spec's `data.split` may say: which examples train, validate and test."""

from pydantic import Field

from cnnlab.spec.types import Fraction, Frozen, NonNegativeInt, PositiveFloat


class Split(Frozen):
    """Shares of the examples, stratified by class; they add up to 1."""

    train: PositiveFloat = Field(le=1)
    validation: Fraction = 0.0
    test: Fraction = 0.0
    seed: NonNegativeInt | None = Field(default=None, description="default: the experiment's seed")
