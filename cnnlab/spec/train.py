"""What a spec's `train` may say."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WrapValidator
from pydantic_core import PydanticCustomError

from cnnlab.spec.tasks import FIGURES, LOWER_IS_BETTER
from cnnlab.spec.types import Bool, Frozen, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

METRICS = tuple(
    dict.fromkeys(
        f"{split}/{figure}"
        for k, split in enumerate(("train", "validation"))
        for figures in FIGURES.values()
        for figure in figures[k]
    )
)
PATIENCE = 10  # epochs, of early stopping where the spec says nothing and the run is as long


def sign_of(metric: str) -> int:
    """1 where a lower figure is better, -1 where a higher one is."""
    return 1 if metric.rpartition("/")[2] in LOWER_IS_BETTER else -1


def _not_of_test(metric: Any) -> Any:
    if isinstance(metric, str) and metric.startswith("test/"):
        message = "{metric} would choose by the test split, which would measure nothing new then; watch {other}"
        found = {"metric": metric, "other": metric.replace("test/", "validation/")}
        raise PydanticCustomError("of_test", message, found)
    return metric


def _or_of_head(metric: Any, known: Callable[[Any], str]) -> str:
    """A figure of a head, `validation/<head>/<figure>`; whether there is such a one, the task says."""
    if isinstance(metric, str) and _OF_HEAD.fullmatch(metric):
        return metric
    return known(metric)


_OF_HEAD = re.compile(r"(train|validation)/[A-Za-z_][A-Za-z0-9_]*/[a-z0-9_]+")
if TYPE_CHECKING:
    Metric = str
else:
    _of_head = Annotated[str, Field(pattern=f"^{_OF_HEAD.pattern}$")]
    Metric = Annotated[
        Literal[METRICS],
        WrapValidator(_or_of_head, json_schema_input_type=Literal[METRICS] | _of_head),
        BeforeValidator(_not_of_test, json_schema_input_type=Literal[METRICS] | _of_head),
    ]


class EarlyStopping(Frozen):
    """Stop after `patience` epochs without a better value; the best step is kept by this metric."""

    metric: Metric = "validation/loss"
    patience: PositiveInt | None = Field(default=None, description="epochs; default: 10, or all of a shorter run")
    min_delta: NonNegativeFloat = Field(default=0.0, description="a smaller gain does not count as better")

    @property
    def sign(self) -> int:
        """1 where a lower figure is better, -1 where a higher one is."""
        return sign_of(self.metric)


class Average(Frozen):
    """A mean of the weights after each update, by which validation, the best step and the tables go.

    Batch statistics are averaged alike. With `decay` it is the exponential moving average, without its bias to the
    start; without, the plain mean of Polyak and Ruppert (1992).
    """

    decay: Annotated[PositiveFloat, Field(lt=1)] | None = Field(
        default=None, description="of the weight of an update with each that follows; default: all count alike"
    )
    from_epoch: NonNegativeInt = Field(default=0, description="updates before it do not count; counted from 0")


class Energy(Frozen):
    """Count what training uses of electricity, offline (the extra `energy`, codecarbon)."""

    country: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = Field(
        description="three letters of ISO 3166, such as DEU: by its mean kWh become grams of CO2"
    )


class Train(Frozen):
    epochs: PositiveInt = 30
    remat: Bool = Field(
        default=False,
        description="compute a block's activations again in the backward pass instead of keeping them: less memory, "
        "more time, the same gradients (rematerialisation, gradient checkpointing)",
    )
    early_stopping: EarlyStopping | None = None
    average: Average | None = None
    checkpoint_every: PositiveInt | None = Field(
        default=None, description="epochs between checkpoints; default: every epoch, but one in 5 seconds at most"
    )
    energy: Energy | None = Field(default=None, description="default: nothing is counted, and nothing claimed")
