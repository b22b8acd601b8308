"""One class out of several, learnt from errors alone: Rosenblatt's perceptron."""

import math
from dataclasses import dataclass

from cnnlab.tasks.classification import Classification
from cnnlab.tasks.task import Sums


@dataclass(frozen=True)
class Perceptron(Classification):
    """Scores of threshold units; their answers in training are those before the error is learnt from."""

    name = "perceptron"

    @property
    def guessing(self) -> float:
        """The weights' length sets the loss, and may be any: no finite one means that training has lost its way."""
        return math.inf

    def means(self, sums: Sums) -> dict[str, float]:
        return {**super().means(sums), "errors": int(sums["examples"]) - int(sums["correct"])}
