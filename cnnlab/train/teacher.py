"""A trained network that teaches another: it does not train, and sees the pixels that its student sees.

Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (2015), section 2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from flax import nnx
from jax import Array

from cnnlab.spec.schema import Experiment
from cnnlab.tasks.heads import ALONE
from cnnlab.tasks.task import Losses, Sums, Task
from cnnlab.train.precision import forward, inference

FAR = "distillation"  # how far the student's answers are from the teacher's, among the sums and in train/distillation


@dataclass(frozen=True, eq=False)
class Teacher:
    """The network of a run with the weights of its best step, as NumPy arrays; mean, std: float32 [channel], by which
    its inputs were normalised; `task` is its own, `pairs` which of its heads teaches which of the student's, as
    `cnnlab.tasks.teaching.pairs` has them."""

    graph: nnx.GraphDef
    params: Any
    stats: Any
    mean: np.ndarray
    std: np.ndarray
    precision: str
    task: Task
    pairs: Mapping[str, str]

    @property
    def arrays(self) -> tuple[Any, Any]:
        return self.params, self.stats

    def answers(self, arrays: tuple[Any, Any], x: Array, mean: np.ndarray, std: np.ndarray) -> Any:
        """What it teaches of the student's inputs x [batch, *space, channel], in evaluation; by the names of the
        student's heads where that has several. x is normalised by mean and std [channel]: these are undone where its
        own are others. `arrays` are its own, on the device."""
        if not (np.array_equal(mean, self.mean) and np.array_equal(std, self.std)):
            x = (x * std + mean - self.mean) / self.std
        lesson = self.task.lesson(forward(nnx.merge(self.graph, *arrays), x, self.precision, inference()))
        taught = {mine: lesson if theirs == ALONE else lesson[theirs] for mine, theirs in self.pairs.items()}
        return taught[ALONE] if ALONE in self.pairs else taught


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


def by_both(objective: Losses, distances: Losses, weight: float) -> Losses:
    """What training lowers of each example by its labels, and by how far it is from the teacher; of several heads those
    without a teacher learn by the labels alone."""
    if not isinstance(objective, Mapping):
        return (1 - weight) * objective + weight * distances  # type: ignore[operator]
    assert isinstance(distances, Mapping), "the teacher's answers are by the heads' names"
    return {
        name: (1 - weight) * part + weight * distances[name] if name in distances else part
        for name, part in objective.items()
    }


def zero_of(experiment: Experiment, task: Task) -> Sums:
    """What an epoch adds up, before its first batch."""
    return {**task.zero(), **({FAR: np.zeros((), np.float32)} if is_taught(experiment) else {})}
