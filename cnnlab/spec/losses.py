"""What a spec's `loss` may say: a bare name (`huber`), or a name with its keys (`{name: focal, gamma: 3}`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from cnnlab.spec.types import Fraction, Frozen, NonNegativeFloat, PositiveFloat, Rate, Str, words_or
from cnnlab.spec.yaml import Path

if TYPE_CHECKING:
    Factors = Literal["balanced"] | dict[str, float] | None
else:
    Factors = words_or(Literal["balanced"], dict[Str, NonNegativeFloat], "a mapping of names and factors") | None
ClassWeights = Annotated[
    Factors,
    Field(
        description="factors on the losses of classes by name, 1 for the others; balanced: all examples over those of "
        "the class times the classes"
    ),
]
PositiveWeights = Annotated[
    Factors, Field(description="factors on the yes of labels by name, 1 for the others; balanced: noes over yeses")
]


class LossSpec(Frozen):
    """What every loss may say beside its own keys."""

    l1: NonNegativeFloat = Field(default=0.0, description="times the sum of |w| over weights; not over biases")
    l2: NonNegativeFloat = Field(default=0.0, description="times half the sum of w^2 over weights; not over biases")


class CrossEntropy(LossSpec):
    tags = ("cross_entropy",)
    name: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Rate = 0.0
    class_weights: ClassWeights = None


class BinaryCrossEntropy(LossSpec):
    """Of yes or no, with the sigmoid in it: of labels, of two classes, and of intensities from 0 to 1."""

    tags = ("binary_cross_entropy",)
    name: Literal["binary_cross_entropy"]
    label_smoothing: Rate = 0.0
    positive_weights: PositiveWeights = None


class Focal(LossSpec):
    """Cross-entropy that looks away from what is easy (Lin et al. 2017)."""

    tags = ("focal",)
    name: Literal["focal"]
    gamma: NonNegativeFloat = 2.0
    alpha: Fraction | None = Field(default=None, description="factor of yes, 1 - alpha of no; for labels")
    class_weights: ClassWeights = None


class Hinge(LossSpec):
    tags = ("hinge",)
    name: Literal["hinge"]
    class_weights: ClassWeights = None


class Perceptron(LossSpec):
    tags = ("perceptron",)
    name: Literal["perceptron"]


class MeanSquared(LossSpec):
    tags = ("mean_squared",)
    name: Literal["mean_squared"]


class MeanAbsolute(LossSpec):
    tags = ("mean_absolute",)
    name: Literal["mean_absolute"]


class Huber(LossSpec):
    tags = ("huber",)
    name: Literal["huber"]
    delta: PositiveFloat = Field(default=1.0, description="the error up to which it is a parabola")


class Dice(LossSpec):
    """1 - the soft Dice coefficient, the mean over classes (Milletari et al. 2016)."""

    tags = ("dice",)
    name: Literal["dice"]
    smoothing: PositiveFloat = Field(default=1.0, description="added to both sides of the quotient")


def _several(losses: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(losses) < 2:
        raise PydanticCustomError("too_few", "must hold at least two losses")
    return losses


class Sum(LossSpec):
    """Several losses of the same output, added up."""

    tags = ("sum",)
    name: Literal["sum"]
    of: Annotated[tuple[Loss, ...], AfterValidator(_several)]
    weights: tuple[PositiveFloat, ...] | None = Field(default=None, description="one for each; default: 1")


LOSSES = (
    CrossEntropy, BinaryCrossEntropy, Focal, Hinge, Perceptron, MeanSquared, MeanAbsolute, Huber, Dice, Sum,
)  # fmt: skip
LOSSES_OF_TASK: dict[str, tuple[str, ...]] = {
    "classification": ("cross_entropy", "binary_cross_entropy", "focal", "hinge", "perceptron"),
    "multi_label": ("binary_cross_entropy", "focal", "hinge"),
    "regression": ("mean_squared", "mean_absolute", "huber"),
    "reconstruction": ("mean_squared", "mean_absolute", "huber", "binary_cross_entropy"),
    "segmentation": ("cross_entropy", "dice", "focal", "sum"),
    "perceptron": ("perceptron",),
}
"""Which losses fit which task; the first is its default."""


def _name(value: Any) -> Any:
    """What chooses the class; keys without a name are those of cross_entropy."""
    return value.get("name", "cross_entropy") if isinstance(value, dict) else getattr(value, "name", value)


def _keys(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class _LossSchema:
    """The JSON Schema with the bare names, for editors that complete them."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        bare = [cls.tags[0] for cls in LOSSES if cls is not Sum]
        return {"anyOf": [{"enum": bare}, {"type": "object", "oneOf": handler(core_schema)["oneOf"]}]}


if TYPE_CHECKING:
    Loss = (
        CrossEntropy | BinaryCrossEntropy | Focal | Hinge | Perceptron | MeanSquared | MeanAbsolute | Huber | Dice | Sum
    )
else:
    Loss = Annotated[
        Union[tuple(Annotated[cls, BeforeValidator(_keys), Tag(cls.tags[0])] for cls in LOSSES)],
        Discriminator(_name, custom_error_type="unknown_loss", custom_error_message="is no loss"),
        _LossSchema,
    ]
Sum.model_rebuild()


def default_loss(task: str) -> Loss:
    """The loss of a task where the spec names none."""
    classes = {cls.tags[0]: cls for cls in LOSSES}
    return classes[LOSSES_OF_TASK[task][0]].model_validate({"name": LOSSES_OF_TASK[task][0]})


def misfits(loss: Loss, task: str, path: Path = ("loss",)) -> Iterator[tuple[Path, str]]:
    """What of a loss does not go with the task, or with itself, as `contradictions` yields it."""
    known = LOSSES_OF_TASK[task]
    if loss.name not in known:
        yield (*path, "name"), f"{loss.name} is no loss of {task}; there are {', '.join(known)}"
        return
    if getattr(loss, "alpha", None) is not None and task != "multi_label":
        yield (*path, "alpha"), "alpha weighs yes against no; of classes give class_weights"
    if getattr(loss, "class_weights", None) is not None and task == "multi_label":
        instead = "alpha" if loss.name == "focal" else "positive_weights, a key of binary_cross_entropy"
        yield (*path, "class_weights"), f"classes have weights; yes and no have {instead}"
    if isinstance(loss, BinaryCrossEntropy) and task == "reconstruction":
        if loss.positive_weights is not None:
            yield (*path, "positive_weights"), "intensities have no yes to weigh; leave it out"
        if loss.label_smoothing:
            yield (*path, "label_smoothing"), "intensities are no labels; leave it out"
    if isinstance(loss, Sum):
        yield from _of_sum(loss, task, path)


def _of_sum(loss: Sum, task: str, path: Path) -> Iterator[tuple[Path, str]]:
    if loss.weights is not None and len(loss.weights) != len(loss.of):
        yield (*path, "weights"), f"{len(loss.weights)} weights for {len(loss.of)} losses; give one for each"
    for i, part in enumerate(loss.of):
        here: Path = (*path, "of", i)
        if isinstance(part, Sum):
            yield (*here, "name"), "a sum in a sum; write its losses out"
            continue
        for key in ("l1", "l2"):
            if getattr(part, key):
                yield (*here, key), f"{key} is of the whole network: write it beside 'of'"
        yield from misfits(part, task, here)
