"""What a spec's `data` may say: where examples come from, how they are split, resized and augmented."""

from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from cnnlab.spec.augment import Augmentation
from cnnlab.spec.images import Decode, ImageKeys
from cnnlab.spec.split import Split
from cnnlab.spec.types import (
    Bool,
    Frozen,
    Int,
    NonNegativeFloat,
    NonNegativeInt,
    PerAxis,
    PositiveFloat,
    PositiveInt,
    Str,
)


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _distinct(names: tuple[Any, ...]) -> tuple[Any, ...]:
    for name in names:
        if names.count(name) > 1:
            raise PydanticCustomError("twice", "names '{name}' twice", {"name": name})
    return names


# A class called 5 may be written as a number.
ClassName = Annotated[Str, BeforeValidator(_as_text, json_schema_input_type=str | int)]


class DataSpec(Frozen):
    """What every source has. `path_keys` are those whose values are paths."""

    path_keys: ClassVar[tuple[str, ...]] = ()

    classes: Annotated[tuple[ClassName, ...], Field(min_length=2), AfterValidator(_distinct)] | None = Field(
        default=None, description="only these, in this order; default: all of the source"
    )
    split: Split | None = Field(default=None, description="default: 0.7, 0.15, 0.15 of what the source leaves open")
    resize: PerAxis | None = Field(default=None, description="size of every spatial axis, or one per axis")
    normalize: Bool = Field(default=True, description="mean 0 and deviation 1 per channel, as in the training split")
    batch_size: PositiveInt = Field(default=64, description="default: 64, or all of a smaller training split")
    augment: tuple[Augmentation, ...] = ()

    @property
    def where(self) -> str:
        """What messages call the source: its first path, or its name."""
        return next((getattr(self, key) for key in self.path_keys if getattr(self, key)), self.tags[0])


class FileSource(DataSpec):
    """A source that lies at one path."""

    path_keys = ("path",)
    path: Str


class NoData(DataSpec):
    """A network alone: `summary`, `check` and `receptive-field` do without data, with `model.input`."""

    tags = ("none",)
    source: Literal["none"] = "none"


class Digits(DataSpec):
    """The 1,797 handwritten digits, 8x8, that come with scikit-learn."""

    tags = ("digits",)
    source: Literal["digits"]


class Idx(FileSource):
    """MNIST, Fashion-MNIST, KMNIST: a folder with `train-images-idx3-ubyte`, `t10k-...`, gzip or not."""

    tags = ("idx",)
    source: Literal["idx"]


class Cifar10(FileSource):
    """CIFAR-10: the folder or the archive, of the binary or the Python version."""

    tags = ("cifar10",)
    source: Literal["cifar10"]


class Cifar100(FileSource):
    """CIFAR-100: the folder or the archive, of the binary or the Python version."""

    tags = ("cifar100",)
    source: Literal["cifar100"]
    labels: Literal["fine", "coarse"] = Field(default="fine", description="the 100 classes, or their 20 superclasses")


SpatialAxes = Annotated[
    Annotated[Int, Field(ge=0, le=3)] | None,
    Field(description="default: x of rank 2 is vectors, 3 and 4 images, 5 volumes"),
]


class Npz(FileSource):
    """Arrays `x`, `y`, optionally `x_test`, `y_test` and `classes` (names) in one .npz file."""

    tags = ("npz",)
    source: Literal["npz"]
    spatial_axes: SpatialAxes = None


class Npy(DataSpec):
    """Arrays in .npy files, mapped and not read: `x` and `y`, or a folder of `x.npy`, `y.npy` and what npz takes."""

    tags = ("npy",)
    path_keys = ("path", "x", "y")
    source: Literal["npy"]
    path: Str | None = Field(default=None, description="a folder with x.npy and y.npy; or give x and y")
    x: Str | None = None
    y: Str | None = None
    spatial_axes: SpatialAxes = None


class ImageFolder(FileSource, ImageKeys):
    """`class/name.jpg`, or `train/`, `val/`, `test/` above that."""

    tags = ("image_folder",)
    path_keys = ("path", "cache")
    source: Literal["image_folder"]


class Csv(FileSource, ImageKeys):
    """A table, CSV or Parquet: a column of image files, relative to it, and a column of labels."""

    tags = ("csv",)
    path_keys = ("path", "cache")
    source: Literal["csv"]
    images: Str = Field(description="the column with the images' paths")
    labels: Str = Field(description="the column with the classes' names")
    split_column: Str | None = Field(default=None, description="of train, validation (or val), test")
    group_column: Str | None = Field(default=None, description="a group's examples stay in one split")


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
    frequencies: Annotated[tuple[PositiveInt, ...], Field(min_length=2), AfterValidator(_distinct)] = Field(
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


GENERATORS: tuple[type[Generator], ...] = (TwoMoons, Spirals, Gaussians, Sines, Shapes, Spheres)
SOURCES: tuple[type[DataSpec], ...] = (Digits, Idx, Cifar10, Cifar100, Npz, Npy, ImageFolder, Csv, *GENERATORS)


Spec = TypeVar("Spec", bound=DataSpec)


def with_own_decoder(data: Spec) -> Spec:
    """The resolved `data` of a run, which decodes in full if it is from before there was `decode`."""
    old = isinstance(data, ImageKeys) and "decode" not in data.model_fields_set
    return data.model_copy(update={"decode": "full"}) if old else data


def decoder_of(data: DataSpec) -> Decode:
    """How the run with this resolved `data` brings an image to its size."""
    return data.decode if isinstance(data, ImageKeys) and data.resize is not None else "full"
