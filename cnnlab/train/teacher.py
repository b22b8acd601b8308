"""A trained network that teaches another: it does not train, and sees the pixels that its student sees.

Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (2015), section 2.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from flax import nnx
from jax import Array

from cnnlab.spec.schema import Experiment
from cnnlab.tasks.task import Sums, Task
from cnnlab.train.precision import forward, inference

FAR = "distillation"  # how far the student's answers are from the teacher's, among the sums and in train/distillation


@dataclass(frozen=True, eq=False)
class Teacher:
    """The network of a run with the weights of its best step, as NumPy arrays; mean, std: float32 [channel], by which
    its inputs were normalised."""

    graph: nnx.GraphDef
    params: Any
    stats: Any
    mean: np.ndarray
    std: np.ndarray
    precision: str

    @property
    def arrays(self) -> tuple[Any, Any]:
        return self.params, self.stats

    def answers(self, arrays: tuple[Any, Any], x: Array, mean: np.ndarray, std: np.ndarray) -> Any:
        """What it gives in evaluation for the student's inputs x [batch, *space, channel], which are normalised by
        mean and std [channel]: these are undone where its own are others. `arrays` are its own, on the device."""
        if not (np.array_equal(mean, self.mean) and np.array_equal(std, self.std)):
            x = (x * std + mean - self.mean) / self.std
        return forward(nnx.merge(self.graph, *arrays), x, self.precision, inference())


class Taught:
    """A compiled step that gets the teacher's arrays behind what it is called with.

    They are no part of the state, whose memory each step takes over and which checkpoints hold.
    """

    def __init__(self, step: Any, arrays: tuple[Any, Any]):
        self._step, self._arrays = step, arrays

    def __call__(self, *arguments: Any) -> Any:
        return self._step(*arguments, self._arrays)

    def lower(self, *arguments: Any) -> Any:
        """The step, lowered for these arguments: to be looked at."""
        return self._step.lower(*arguments, self._arrays)


def is_taught(experiment: Experiment) -> bool:
    """Whether a teacher's answers count in training."""
    return experiment.distill is not None and experiment.distill.weight > 0


def zero_of(experiment: Experiment, task: Task) -> Sums:
    """What an epoch adds up, before its first batch."""
    return {**task.zero(), **({FAR: np.zeros((), np.float32)} if is_taught(experiment) else {})}
