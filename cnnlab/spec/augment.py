"""What a spec's `data.augment` may say."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from cnnlab.spec.types import (
    Fraction,
    Frozen,
    NonNegativeFloat,
    NonNegativeInt,
    PerAxis,
    PositiveFloat,
    PositiveInt,
)
from cnnlab.spec.yaml import Path


def _in_order(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] > span[1]:
        raise PydanticCustomError("span", "must be a list of the lowest and the highest")
    return span


Span = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_in_order)]
Share = Annotated[PositiveFloat, Field(le=1)]


def _factors(value: Any) -> Any:
    """A single factor f stands for [1/f, f]."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and not 1 <= value < math.inf:
        raise PydanticCustomError("factor", "must be a factor of at least 1, or a list of the lowest and the highest")
    return (1 / value, float(value)) if number else value


class Enhance(Frozen):
    """A blend with factors from 1 - strength to 1 + strength, of which none is below 0."""

    strength: NonNegativeFloat
    probability: Fraction = 1.0


class Hue(Frozen):
    turn: Annotated[NonNegativeFloat, Field(le=0.5)]
    probability: Fraction = 1.0


class Blur(Frozen):
    deviation: Annotated[PositiveFloat, Field(le=50)] = Field(description="largest, in pixels")
    probability: Fraction = 0.5


class RandomCrop(Frozen):
    size: PerAxis
    padding: NonNegativeInt = Field(default=0, description="pixels that are added on every side before")


class RandomResizedCrop(Frozen):
    size: PerAxis
    area: Annotated[tuple[Share, Share], AfterValidator(_in_order)] = (0.08, 1.0)
    ratio: Span = (3 / 4, 4 / 3)


class Cutout(Frozen):
    size: PerAxis
    probability: Fraction = 1.0


class Mixup(Frozen):
    alpha: PositiveFloat = 0.2
    probability: Fraction = 1.0


class Cutmix(Frozen):
    alpha: PositiveFloat = 1.0
    probability: Fraction = 1.0


class RandAugment(Frozen):
    number: PositiveInt = 2
    magnitude: Annotated[NonNegativeFloat, Field(le=30)] = Field(default=9, description="of 30")


def _short(cls: Any, key: str, bare: Any) -> Any:
    """The class, of which a `bare` value stands for the one `key`."""

    def mapping(value: Any) -> Any:
        return value if isinstance(value, dict | Frozen) else {key: value}

    return Annotated[cls, BeforeValidator(mapping, json_schema_input_type=cls | bare)]


if TYPE_CHECKING:
    ShortEnhance = Enhance
    ShortHue = Hue
    ShortBlur = Blur
    ShortCutout = Cutout
    ShortCrop = RandomCrop
    ShortResizedCrop = RandomResizedCrop
    ShortMixup = Mixup
    ShortCutmix = Cutmix
    Factors = tuple[float, float]
else:
    ShortEnhance, ShortHue = _short(Enhance, "strength", NonNegativeFloat), _short(Hue, "turn", NonNegativeFloat)
    ShortBlur, ShortCutout = _short(Blur, "deviation", PositiveFloat), _short(Cutout, "size", PerAxis)
    ShortCrop, ShortResizedCrop = _short(RandomCrop, "size", PerAxis), _short(RandomResizedCrop, "size", PerAxis)
    ShortMixup, ShortCutmix = _short(Mixup, "alpha", PositiveFloat), _short(Cutmix, "alpha", PositiveFloat)
    Factors = Annotated[Span, BeforeValidator(_factors, json_schema_input_type=Span | PositiveFloat)]


class Augmentation(Frozen):
    """One entry of `augment`: exactly one of these, each drawn anew for every example and epoch.

    What moves pixels takes masks and boxes along. A probability is that of an example to be changed at all.
    """

    shift: NonNegativeInt | None = Field(default=None, description="up to so many pixels along every axis")
    rotate: Annotated[NonNegativeFloat, Field(le=180)] | None = Field(default=None, description="up to so many degrees")
    flip: Literal["horizontal", "vertical", "both"] | None = Field(default=None, description="with probability 1/2")
    noise: NonNegativeFloat | None = Field(default=None, description="normal, in standard deviations of the data")
    scale: Factors | None = Field(default=None, description="up to so many times larger or smaller; or [low, high]")
    shear: Annotated[NonNegativeFloat, Field(le=60)] | None = Field(
        default=None, description="up to so many degrees, every axis along every other"
    )
    random_crop: ShortCrop | None = Field(default=None, description="size, padding=0: a window of that size")
    random_resized_crop: ShortResizedCrop | None = Field(
        default=None,
        description="size, area=[0.08, 1], ratio=[3/4, 4/3]: a window, resized",
    )
    brightness: ShortEnhance | None = Field(
        default=None, description="strength, probability=1: lighter or darker by that share"
    )
    contrast: ShortEnhance | None = Field(
        default=None, description="strength, probability=1: away from the mean grey or to it"
    )
    saturation: ShortEnhance | None = Field(
        default=None, description="strength, probability=1: away from grey or to it"
    )
    hue: ShortHue | None = Field(default=None, description="turn, probability=1: of the circle of colours, up to 0.5")
    blur: ShortBlur | None = Field(
        default=None, description="deviation, probability=0.5: Gaussian, up to so many pixels"
    )
    cutout: ShortCutout | None = Field(default=None, description="size, probability=1: a square of that size is black")
    mixup: ShortMixup | None = Field(default=None, description="alpha=0.2, probability=1: with another of the batch")
    cutmix: ShortCutmix | None = Field(default=None, description="alpha=1, probability=1: a window of another one")
    rand_augment: RandAugment | None = Field(
        default=None, description="number=2, magnitude=9 of 30: so many of 14 operations"
    )

    @property
    def word(self) -> str:
        """The one key that is given."""
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)


def augment_contradictions(entries: Sequence[Augmentation]) -> Iterator[tuple[Path, str]]:
    """What is wrong with a list of entries, as the path of one of them and a sentence."""
    mixes = [entry.mixup is not None or entry.cutmix is not None for entry in entries]
    for i, entry in enumerate(entries):
        given = entry.model_dump(exclude_none=True)
        if len(given) != 1:
            allowed, words = ", ".join(Augmentation.model_fields), ", ".join(given) or "nothing"
            yield ("data", "augment", i), f"one of {allowed} an entry, not {words}"
        elif mixes[i] and not all(mixes[i:]):
            yield ("data", "augment", i), f"{entry.word} mixes what the other entries have made: put it behind them"
