"""What a spec may say of the data that is made on the spot."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from cnnlab.spec.data import DataSpec, distinct
from cnnlab.spec.types import (
    Bool,
    Float,
    Int,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    number_range,
    whole_range,
)


class Generator(DataSpec):
    """Examples that are made from (seed, number) alone: more of them leave the first as they are."""

    examples: Annotated[Int, Field(ge=2, le=10_000_000)] = 1000
    seed: Annotated[NonNegativeInt, Field(le=2**32 - 1)] = Field(default=0, description="of the examples alone")


class TwoMoons(Generator):
    """Points on two half circles that reach into each other."""

    tags = ("two_moons",)
    source: Literal["two_moons"]
    noise: NonNegativeFloat = Field(default=0.1, description="deviation; the circles have the radius 1")


class Spirals(Generator):
    """Points on the arms of a spiral."""

    tags = ("spirals",)
    source: Literal["spirals"]
    arms: Annotated[Int, Field(ge=2, le=100)] = Field(default=2, description="classes")
    turns: PositiveFloat = 1.5
    noise: NonNegativeFloat = Field(default=0.02, description="deviation; the spiral has the radius 1")


class Gaussians(Generator):
    """Points about the corners of a regular polygon, normal with the deviation 1 in every direction."""

    tags = ("gaussians",)
    source: Literal["gaussians"]
    clusters: Annotated[Int, Field(ge=2, le=100)] = Field(default=2, description="classes")
    dimensions: Annotated[Int, Field(ge=2, le=10_000)] = 2
    separation: NonNegativeFloat = Field(default=4.0, description="distance of neighbouring centres, in deviations")


class Sines(Generator):
    """Signals, each a sine of one of the frequencies with a phase and an amplitude of its own, and noise."""

    tags = ("sines",)
    source: Literal["sines"]
    length: Annotated[Int, Field(ge=8, le=1_000_000)] = 64
    frequencies: Annotated[tuple[PositiveInt, ...], Field(min_length=2), AfterValidator(distinct)] = Field(
        default=(2, 4, 8), description="classes: cycles in a signal"
    )
    noise: NonNegativeFloat = Field(default=0.5, description="deviation; amplitudes go from 0.5 to 1.5")


class Shapes(Generator):
    """Grey images of a circle, a square or a triangle of the same area, at a place and of a size of its own."""

    tags = ("shapes",)
    source: Literal["shapes"]
    size: Annotated[Int, Field(ge=16, le=4096)] = Field(default=32, description="pixels, of height and width")
    noise: NonNegativeFloat = Field(default=0.1, description="deviation; white is 1")


class Spheres(Generator):
    """Volumes with a sphere, a cube or an octahedron of the same volume, at a place and of a size of its own."""

    tags = ("spheres",)
    source: Literal["spheres"]
    size: Annotated[Int, Field(ge=8, le=512)] = Field(default=16, description="voxels, of every axis")
    noise: NonNegativeFloat = Field(default=0.1, description="deviation; inside is 1")


class DigitScenes(Generator):
    """Real digits, those of `digits`, at random places and of random sizes on a larger canvas, with masks and boxes.

    The 1,797 scans lie in 60 pools, a scene takes all of its digits from one pool, and a pool's scenes stay in one
    split: what is tested on was never seen in training, at whatever place and size.
    """

    tags = ("digit_scenes",)
    source: Literal["digit_scenes"]
    size: Annotated[Int, Field(ge=16, le=4096)] = Field(default=64, description="pixels, of height and width")
    objects: Annotated[tuple[int, int], whole_range(1, 100)] = Field(
        default=(1, 1), description="digits in a scene, or [fewest, most]"
    )
    scale: Annotated[tuple[float, float], number_range(1, 512)] = Field(
        default=(1.5, 3.0), description="side of a digit in the 8 pixels of its scan, or [least, greatest]"
    )
    overlap: Bool = Field(default=False, description="may hide another; half of each one can always be seen")
    noise: NonNegativeFloat = Field(default=0.05, description="deviation; digits go from 0.6 to 1")
    background: Annotated[tuple[float, float], number_range(0, 0.4)] = Field(
        default=(0.0, 0.0), description="brightness of the canvas, or [least, greatest]"
    )


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] >= ends[1]:
        raise PydanticCustomError("domain", "must be [low, high]")
    return ends


class Function(Generator):
    """Values of a function of one variable, with noise: regression whose answer is known."""

    tags = ("function",)
    source: Literal["function"]
    function: Literal["sine", "step", "absolute", "gaussian", "runge", "polynomial"] = Field(
        default="sine", description="sin(2 pi frequency x); 0 below 0 and 1 from there; |x|; exp(-x²/2); 1/(1 + 25 x²)"
    )
    frequency: PositiveFloat = Field(default=1.0, description="of the sine")
    coefficients: Annotated[tuple[Float, ...], Field(min_length=1)] = Field(
        default=(0.0, -3.0, 0.0, 4.0), description="of the polynomial, from the constant term up"
    )
    domain: Annotated[tuple[Float, Float], AfterValidator(_rising)] = Field(
        default=(-1.0, 1.0), description="[low, high] of x"
    )
    noise: NonNegativeFloat = Field(default=0.0, description="deviation of what is added to the values")
