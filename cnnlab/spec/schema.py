"""An experiment as frozen data: every key of the YAML, its type, its bounds and its default."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import BeforeValidator, Discriminator, Field, Tag

from cnnlab.spec.architectures import ARCHITECTURES, Architecture, ModelSpec, architecture_tag, tagged
from cnnlab.spec.coco import Coco
from cnnlab.spec.data import (
    Cifar10,
    Cifar100,
    Csv,
    Digits,
    Hdf5,
    Idx,
    ImageFolder,
    NoData,
    Npy,
    Npz,
    OxfordPet,
    Stl10,
)
from cnnlab.spec.distill import Distill
from cnnlab.spec.generators import DigitScenes, Function, Gaussians, Shapes, Sines, Spheres, Spirals, TwoMoons
from cnnlab.spec.losses import Loss
from cnnlab.spec.optimizers import (
    LAMB,
    LARS,
    OPTIMIZERS,
    SGD,
    Adafactor,
    AdaGrad,
    Adam,
    AdamW,
    Lion,
    Momentum,
    Muon,
    RAdam,
    RMSProp,
)
from cnnlab.spec.records import ArrayRecord, HuggingFace, TFRecord
from cnnlab.spec.sources import SOURCES
from cnnlab.spec.tasks import (
    FIGURES,
    TASKS,
    ClassificationTask,
    HeadsTask,
    MultiLabelTask,
    PerceptronTask,
    ReconstructionTask,
    RegressionTask,
    SegmentationTask,
    named,
)
from cnnlab.spec.train import Train
from cnnlab.spec.types import Frozen, NonNegativeInt
from cnnlab.spec.vocabulary import Layers


class LayersModel(ModelSpec):
    """A network of one's own: layers, written out."""

    tags = ("layers",)
    layers: Layers


def _union(classes: tuple[type[Frozen], ...]) -> Any:
    return Union[tuple(Annotated[cls, Tag(cls.tags[0])] for cls in classes)]


def _key_tag(key: str, default: str | None = None):
    def tag(value: Any) -> Any:
        return value.get(key, default) if isinstance(value, dict) else getattr(value, key, None)

    return Discriminator(tag)


if TYPE_CHECKING:
    Data = (
        NoData
        | Digits
        | Idx
        | Cifar10
        | Cifar100
        | Stl10
        | OxfordPet
        | Npz
        | Npy
        | Hdf5
        | ImageFolder
        | Coco
        | Csv
        | TFRecord
        | ArrayRecord
        | HuggingFace
        | TwoMoons
        | Spirals
        | Gaussians
        | Sines
        | Shapes
        | Spheres
        | DigitScenes
        | Function
    )
    Model = LayersModel | Architecture
    Optimizer = SGD | Momentum | AdaGrad | RMSProp | Adam | AdamW | RAdam | Lion | LAMB | LARS | Adafactor | Muon
    Task = (
        ClassificationTask
        | MultiLabelTask
        | RegressionTask
        | ReconstructionTask
        | SegmentationTask
        | PerceptronTask
        | HeadsTask
    )
else:
    Data = Annotated[_union((NoData, *SOURCES)), _key_tag("source")]
    Model = Annotated[
        Union[
            (
                Annotated[LayersModel, Tag("layers")],
                *(member for cls in ARCHITECTURES for member in tagged(cls)),
            )
        ],
        Discriminator(architecture_tag),
    ]
    Optimizer = Annotated[_union(OPTIMIZERS), _key_tag("name", "adamw")]
    Task = Annotated[
        Annotated[_union(TASKS), _key_tag("name")],
        BeforeValidator(
            named,
            json_schema_input_type=Annotated[_union(TASKS), _key_tag("name")] | Literal[tuple(FIGURES)],
        ),
    ]


class Experiment(Frozen):
    """One YAML file. The shortest useful one has `data` and `model`, nothing else."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = Field(
        default=None, description="of the run directory; default: the file's name"
    )
    seed: NonNegativeInt = Field(default=0, le=2**32 - 1)
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="of maps, and of weights where they are multiplied, in training and evaluation; parameters, "
        "statistics, losses and metrics are float32 in both",
    )
    task: Task | None = Field(default=None, description="what to learn; default: what the data is for")
    data: Data = NoData()
    model: Model
    loss: Loss | None = Field(default=None, description="default: the task's own")
    optimizer: Optimizer = AdamW()
    train: Train = Train()
    distill: Distill | None = Field(default=None, description="learn from a trained run too")
