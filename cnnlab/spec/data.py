"""What a spec's `data` may say: where examples come from, how they are split, resized and augmented."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from cnnlab.spec.augment import Augmentation
from cnnlab.spec.balance import ClassWeights
from cnnlab.spec.boxes import BoxColumns
from cnnlab.spec.images import Decode, ImageKeys
from cnnlab.spec.label_noise import NoisyLabels
from cnnlab.spec.resize import Resize
from cnnlab.spec.split import Split
from cnnlab.spec.types import (
    Bool,
    Frozen,
    Int,
    PerAxis,
    PositiveInt,
    Str,
    words_or,
)

UNKNOWN = 255  # in a mask: nothing is said there


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def distinct(names: tuple[Any, ...]) -> tuple[Any, ...]:
    """Checks that no entry stands there twice."""
    for name in names:
        if names.count(name) > 1:
            raise PydanticCustomError("twice", "names '{name}' twice", {"name": name})
    return names


# A class called 5 may be written as a number.
ClassName = Annotated[Str, BeforeValidator(_as_text, json_schema_input_type=str | int)]


class DataSpec(Frozen):
    """What every source has. `path_keys` are those whose values are paths."""

    path_keys: ClassVar[tuple[str, ...]] = ()

    classes: Annotated[tuple[ClassName, ...], Field(min_length=2), AfterValidator(distinct)] | None = Field(
        default=None, description="only these, in this order; default: all of the source"
    )
    split: Split | None = Field(default=None, description="default: 0.7, 0.15, 0.15 of what the source leaves open")
    resize: Resize | None = Field(
        default=None, description="size of every spatial axis, one per axis, or {shorter: 256}, {longer: 256}"
    )
    crop: PerAxis | None = Field(
        default=None, description="the centre of this size, cut out after resize; random crops of training have it too"
    )
    normalize: Bool = Field(default=True, description="mean 0 and deviation 1 per channel, as in the training split")
    if TYPE_CHECKING:
        batch_size: int = 64  # `all` too, until the data is known
    else:
        batch_size: words_or(Literal["all"], PositiveInt, "a whole number") = Field(
            default=64, description="default: 64, or all of a smaller training split"
        )
    augment: tuple[Augmentation, ...] = ()
    sampling: ClassWeights | None = Field(
        default=None,
        description="balanced, or class: weight (1 where it is not named); default: each example once an epoch",
    )
    label_noise: NoisyLabels | None = Field(
        default=None, description="a share of training labels replaced by random classes; or share and drawn"
    )

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


class Stl10(FileSource):
    """STL-10: the folder of its binary version, its labelled images alone."""

    tags = ("stl10",)
    source: Literal["stl10"]


class OxfordPet(FileSource, ImageKeys):
    """The Oxford-IIIT Pet dataset: the folder with `images/` and `annotations/`; its outlines are masks."""

    tags = ("oxford_pet",)
    source: Literal["oxford_pet"]
    labels: Literal["breeds", "species"] = Field(default="breeds", description="the 37 breeds, or cat and dog")
    border: Literal["ignore", "class"] = Field(
        default="ignore", description="pixels that the outlines leave open: said nothing of, or a class of their own"
    )


SpatialAxes = Annotated[
    Annotated[Int, Field(ge=0, le=3)] | None,
    Field(description="default: x of rank 2 is vectors, 3 and 4 images, 5 volumes"),
]


class ArraySource(DataSpec):
    """Arrays `x` and `y`, optionally `x_test`, `y_test` and `classes` (names)."""

    spatial_axes: SpatialAxes = None
    target: Literal["class", "labels", "values", "mask"] | None = Field(
        default=None,
        description="what y is: whole numbers from 0; 0 and 1 for each name; numbers to predict; an id for each "
        "position; default: told by its type and shape",
    )


class Npz(ArraySource):
    """Arrays `x`, `y`, optionally `x_test`, `y_test` and `classes` (names) in one .npz file."""

    tags = ("npz",)
    path_keys = ("path",)
    source: Literal["npz"]
    path: Str


class Npy(ArraySource):
    """Arrays in .npy files, mapped and not read: `x` and `y`, or a folder of `x.npy`, `y.npy` and what npz takes."""

    tags = ("npy",)
    path_keys = ("path", "x", "y")
    source: Literal["npy"]
    path: Str | None = Field(default=None, description="a folder with x.npy and y.npy; or give x and y")
    x: Str | None = None
    y: Str | None = None


MaskClasses = Annotated[
    Annotated[tuple[ClassName, ...], Field(min_length=2, max_length=255), AfterValidator(distinct)] | None,
    Field(description="names of the ids in the masks, from 0; default: the ids"),
]
MaskValues = Annotated[
    Annotated[
        tuple[Annotated[Int, Field(ge=0, le=255)], ...], Field(min_length=2, max_length=255), AfterValidator(distinct)
    ]
    | None,
    Field(description="what stands for each class in the masks; default: 0, 1, ...; 255 says nothing"),
]

BoxClasses = Annotated[
    Annotated[tuple[ClassName, ...], Field(min_length=1), AfterValidator(distinct)] | None,
    Field(description="names of the classes of boxes, from 0; default: of data.yaml or classes.txt, or the numbers"),
]


class ImageFiles(FileSource, ImageKeys):
    """A source whose examples are image files."""

    on_bad_file: Literal["error", "skip"] = Field(
        default="error", description="skip: leave out images that cannot be read, count and list them"
    )


class ImageFolder(ImageFiles):
    """`class/name.jpg`, or `train/`, `val/`, `test/` above that; with masks or boxes also images without class
    folders."""

    tags = ("image_folder",)
    path_keys = ("path", "masks", "boxes", "cache")
    source: Literal["image_folder"]
    masks: Str | None = Field(default=None, description="a folder with an image of class ids for each image, as named")
    mask_classes: MaskClasses = None
    mask_values: MaskValues = None
    boxes: Str | None = Field(
        default=None,
        description="a folder with a text file for each image (YOLO) or an XML file (Pascal VOC), of its name; the "
        "same as path: labels/ beside images/, or files beside the images",
    )
    box_classes: BoxClasses = None


def _column_names(value: Any) -> Any:
    names = value if isinstance(value, list | tuple) else [value]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise PydanticCustomError("columns", "must be the name of a column, or a list of names")
    return distinct(tuple(names))


Columns = Annotated[tuple[Str, ...], BeforeValidator(_column_names, json_schema_input_type=str | list[str])]
ColumnOrColumns = Annotated[
    str | tuple[str, ...],
    BeforeValidator(
        lambda value: _column_names(value) and (value if isinstance(value, str) else tuple(value)),
        json_schema_input_type=str | list[str],
    ),
]


class Csv(ImageFiles):
    """A table, CSV or Parquet: a column of image files, relative to it, or columns of numbers; and what to learn."""

    tags = ("csv",)
    path_keys = ("path", "cache")
    source: Literal["csv"]
    images: Str | None = Field(default=None, description="the column with the images' paths")
    features: Columns | None = Field(default=None, description="instead of images: columns of numbers, a vector a row")
    labels: ColumnOrColumns | None = Field(
        default=None, description="the column with the classes' names; or several of 0 and 1, of which any may hold"
    )
    label_separator: Str | None = Field(default=None, description="cells hold several labels, with this between them")
    values: Columns | None = Field(default=None, description="columns of numbers to predict")
    masks: Str | None = Field(default=None, description="the column with the paths of mask images")
    mask_classes: MaskClasses = None
    mask_values: MaskValues = None
    boxes: BoxColumns | None = Field(
        default=None, description="columns of a box; an image has a row for each, or one with these cells empty"
    )
    split_column: Str | None = Field(default=None, description="of train, validation (or val), test")
    group_column: Str | None = Field(default=None, description="a group's examples stay in one split")


class Hdf5(ArraySource):
    """Arrays of one HDF5 file: `x`, `y` and what npz takes, under these names or others."""

    tags = ("hdf5",)
    path_keys = ("path",)
    source: Literal["hdf5"]
    path: Str
    x: Str = Field(default="x", description="name of the array, group/name in a group")
    y: Str = "y"
    x_test: Str = Field(default="x_test", description="used where it is there, as y_test and classes are")
    y_test: Str = "y_test"


Spec = TypeVar("Spec", bound=DataSpec)


def with_own_decoder(data: Spec) -> Spec:
    """The resolved `data` of a run, which decodes in full if it is from before there was `decode`."""
    old = isinstance(data, ImageKeys) and "decode" not in data.model_fields_set
    return data.model_copy(update={"decode": "full"}) if old else data


def decoder_of(data: DataSpec) -> Decode:
    """How the run with this resolved `data` brings an image to its size."""
    return data.decode if isinstance(data, ImageKeys) and data.resize is not None else "full"
