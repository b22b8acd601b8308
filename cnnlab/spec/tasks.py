"""What a spec's `task` may say: what there is to learn. Without it the data decides."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Union

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from cnnlab.spec.data import ClassName, distinct
from cnnlab.spec.losses import Loss
from cnnlab.spec.types import Bool, Fraction, Frozen, Name, NonNegativeFloat, PositiveFloat, PositiveInt, Rate, Str
from cnnlab.spec.vocabulary import Layers

# Figures of a training epoch and of its validation, which early stopping may watch.
FIGURES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "classification": (("loss", "accuracy"), ("loss", "accuracy", "f1")),
    "multi_label": (("loss", "accuracy"), ("loss", "accuracy", "f1")),
    "regression": (("loss", "mae"), ("loss", "mae", "rmse", "r2")),
    "reconstruction": (("loss",), ("loss", "mse", "psnr")),
    "segmentation": (("loss", "accuracy"), ("loss", "accuracy", "mean_iou", "dice")),
    "perceptron": (("loss", "accuracy", "errors"), ("loss", "accuracy", "f1")),
    "heads": (("loss",), ("loss",)),  # and those of each head, behind its name
}
LOWER_IS_BETTER = ("loss", "errors", "mae", "rmse", "mse")


class ClassificationTask(Frozen):
    """One class an example: what data with classes is for."""

    tags = ("classification",)
    name: Literal["classification"] = "classification"
    threshold: Fraction = Field(default=0.5, description="probability from which on the second of two classes is said")


class PerceptronTask(Frozen):
    """One class an example, learnt by Rosenblatt's rule: a wrong answer moves the weights by the input, no gradient."""

    tags = ("perceptron",)
    name: Literal["perceptron"]


class MultiLabelTask(Frozen):
    """Any number of labels an example."""

    tags = ("multi_label",)
    name: Literal["multi_label"]
    threshold: Fraction = Field(default=0.5, description="probability from which on a label is said to hold")


class RegressionTask(Frozen):
    """Numbers an example."""

    tags = ("regression",)
    name: Literal["regression"]
    output: Literal["identity", "sigmoid", "tanh", "softplus", "exp"] = Field(
        default="identity", description="applied to what the network gives: bounds the answers, or keeps them above 0"
    )
    standardize: Bool | None = Field(
        default=None,
        description="learn in deviations from the training split's mean; default: where output is identity",
    )


class Corruption(Frozen):
    """What an input goes through before the network sees it: one of these, drawn anew for every example and step.

    In evaluation every example has a draw of its own that stays the same. `masking` and `salt_and_pepper` are those of
    Vincent et al. 2008 and 2010, `patches` that of He et al. 2022.
    """

    gaussian: PositiveFloat | None = Field(
        default=None, description="normal noise, in deviations of the data; with normalize: false in its own units"
    )
    masking: Rate | None = Field(default=None, description="share of the values that become 0, black")
    salt_and_pepper: Rate | None = Field(
        default=None, description="share that becomes the least or the largest value, 0 or 1 of pixels"
    )
    patches: Rate | None = Field(default=None, description="share of the squares that become the data's mean")
    size: PositiveInt = Field(default=4, description="of the side of a square")

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those that are given."""
        names = ("gaussian", "masking", "salt_and_pepper", "patches")
        return tuple(name for name in names if getattr(self, name) is not None)


class Sparse(Frozen):
    """A penalty on the code: `weight` times the sum over its units, of |h|, or of KL(rho || mean activity)."""

    penalty: Literal["l1", "kullback_leibler"] = "l1"
    weight: PositiveFloat = 0.001
    rho: PositiveFloat = Field(default=0.05, lt=1, description="mean activity wanted, of the Kullback-Leibler penalty")


class ReconstructionTask(Frozen):
    """The input itself, normalised as the network gets it: autoencoders. Figures are in the input's own units."""

    tags = ("reconstruction",)
    name: Literal["reconstruction"]
    corruption: Corruption | None = Field(default=None, description="what the network has to undo; default: nothing")
    target: Literal["clean", "noisy"] = Field(
        default="clean", description="of training; noisy: a second corrupted copy of the input (Noise2Noise)"
    )
    hidden_only: Bool = Field(default=False, description="loss and figures count what corruption.patches hid alone")
    code: Str | None = Field(
        default=None, description="path of the layer whose output is the code; default: encoder, or code"
    )
    sparse: Sparse | None = None
    contractive: NonNegativeFloat = Field(
        default=0.0,
        description="times the squared Frobenius norm of the code's Jacobian, the mean of examples (Rifai et al. 2011)",
    )
    normal: Annotated[tuple[ClassName, ...], Field(min_length=1), AfterValidator(distinct)] | None = Field(
        default=None, description="classes to train on; the others are the anomalies that the error has to show"
    )


class SegmentationTask(Frozen):
    """A class for every position."""

    tags = ("segmentation",)
    name: Literal["segmentation"]


def named(value: Any) -> Any:
    """A bare word is a name."""
    return {"name": value} if isinstance(value, str) else value


# What one head of several may learn.
OF_A_HEAD = (ClassificationTask, MultiLabelTask, RegressionTask, ReconstructionTask, SegmentationTask)
if TYPE_CHECKING:
    HeadTask = ClassificationTask | MultiLabelTask | RegressionTask | ReconstructionTask | SegmentationTask
else:
    _head_tasks = Annotated[
        Union[tuple(Annotated[cls, Tag(cls.tags[0])] for cls in OF_A_HEAD)], Discriminator(lambda v: task_tag(v))
    ]
    HeadTask = Annotated[
        _head_tasks,
        BeforeValidator(named, json_schema_input_type=_head_tasks | Literal[tuple(cls.tags[0] for cls in OF_A_HEAD)]),
    ]


class HeadSpec(Frozen):
    """One of several heads: what it learns, its layers on top of the trunk, and how much its loss counts."""

    task: HeadTask
    layers: Layers = Field(description="on what the trunk gives; `classes` are this head's")
    weight: PositiveFloat = 1.0
    loss: Loss | None = Field(default=None, description="default: the task's own")


class HeadsTask(Frozen):
    """Several things at once: heads on one trunk, which is the model without its own head.

    One of them may be a reconstruction: what corrupts the input corrupts that of all, and a code is the trunk's.
    """

    tags = ("heads",)
    name: Literal["heads"]
    heads: Annotated[dict[Name, HeadSpec], Field(min_length=1)]


TASKS: tuple[type[Frozen], ...] = (
    ClassificationTask,
    MultiLabelTask,
    RegressionTask,
    ReconstructionTask,
    SegmentationTask,
    PerceptronTask,
    HeadsTask,
)


class Normal(NamedTuple):
    """The classes that training keeps to, and where the spec says so."""

    classes: tuple[str, ...]
    where: str


def normal_of(task: Any) -> Normal | None:
    """What a spec's task says of it, or that of one of several heads; None where training takes all classes."""
    heads = task.heads.items() if isinstance(task, HeadsTask) else ()
    for path, one in [("task", task), *((f"task.heads.{name}.task", head.task) for name, head in heads)]:
        if isinstance(one, ReconstructionTask) and one.normal is not None:
            return Normal(one.normal, f"{path}.normal")
    return None


def task_tag(value: Any) -> Any:
    """The task that a value names: a mapping's `name`, or the bare word."""
    return value.get("name") if isinstance(value, dict) else getattr(value, "name", value)
