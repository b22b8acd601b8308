"""What a spec's `train` may say."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

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


class EarlyStopping(Frozen):
    """Stop after `patience` epochs without a better value; the best step is kept by this metric."""

    if TYPE_CHECKING:
        metric: str = "validation/loss"
    else:
        metric: Literal[METRICS] = "validation/loss"
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
