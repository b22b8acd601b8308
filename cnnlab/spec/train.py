"""What a spec's `train` may say."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from cnnlab.spec.tasks import FIGURES, LOWER_IS_BETTER
from cnnlab.spec.types import Bool, Frozen, NonNegativeFloat, PositiveInt

METRICS = tuple(
    dict.fromkeys(
        f"{split}/{figure}"
        for k, split in enumerate(("train", "validation"))
        for figures in FIGURES.values()
        for figure in figures[k]
    )
)


def _not_of_test(metric: Any) -> Any:
    if isinstance(metric, str) and metric.startswith("test/"):
        message = "{metric} would choose by the test split, which would measure nothing new then; watch {other}"
        found = {"metric": metric, "other": metric.replace("test/", "validation/")}
        raise PydanticCustomError("of_test", message, found)
    return metric


class EarlyStopping(Frozen):
    """Stop after `patience` epochs without a better value; the best step is kept by this metric."""

    if TYPE_CHECKING:
        metric: str = "validation/loss"
    else:
        metric: Annotated[Literal[METRICS], BeforeValidator(_not_of_test)] = "validation/loss"
    patience: PositiveInt = 10
    min_delta: NonNegativeFloat = Field(default=0.0, description="a smaller gain does not count as better")

    @property
    def sign(self) -> int:
        """1 where a lower figure is better, -1 where a higher one is."""
        return 1 if self.metric.rpartition("/")[2] in LOWER_IS_BETTER else -1


class Train(Frozen):
    epochs: PositiveInt = 30
    remat: Bool = Field(
        default=False,
        description="compute a block's activations again in the backward pass instead of keeping them: less memory, "
        "more time, the same gradients (rematerialisation, gradient checkpointing)",
    )
    early_stopping: EarlyStopping | None = None
    checkpoint_every: PositiveInt | None = Field(
        default=None, description="epochs between checkpoints; default: every epoch, but one in 5 seconds at most"
    )
