"""What a spec's `distill` may say: a small network learns from a large one that was trained before."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from cnnlab.spec.types import Fraction, Frozen, PositiveFloat, Str
from cnnlab.spec.yaml import Path

if TYPE_CHECKING:
    from cnnlab.spec.schema import Experiment

TASKS = ("classification", "multi_label", "segmentation")
"""Whose answers are distributions, which one network can have from another."""


class Distill(Frozen):
    """Training lowers (1 - weight) times the loss with the labels, plus weight times how far the answers are from the
    teacher's: T^2 KL(teacher || student), both softened by the temperature T (Hinton, Vinyals and Dean 2015).

    The teacher is the best step of its run, does not train, and sees the pixels that the student sees. In
    history.csv train/loss is the labels' alone, as in validation, and train/distillation the teacher's.
    """

    teacher: Str = Field(description="the directory of its run")
    temperature: PositiveFloat = Field(default=4.0, description="by which both networks' logits are divided")
    weight: Fraction = Field(default=0.5, description="of the teacher's answers; the labels have the rest")


def distill_contradictions(experiment: "Experiment") -> Iterator[tuple[Path, str]]:
    """Distillation of what has no distribution, where the spec says so itself."""
    task = experiment.task
    if experiment.distill is not None and task is not None and task.name not in TASKS:
        yield ("distill",), no_distribution(task.name)


def no_distribution(task: str) -> str:
    """The sentence on a task that cannot be distilled."""
    return f"{task} has no distribution to learn from a teacher; {', '.join(TASKS[:-1])} and {TASKS[-1]} have one"
