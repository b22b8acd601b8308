"""What a spec's `distill` may say: a small network learns from a large one that was trained before."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from cnnlab.spec.types import Fraction, Frozen, PositiveFloat, Str
from cnnlab.spec.yaml import Path

if TYPE_CHECKING:
    from cnnlab.spec.schema import Experiment

DISTRIBUTIONS = ("classification", "multi_label", "segmentation")
"""Whose answers are distributions, which a temperature softens."""
TASKS = (*DISTRIBUTIONS, "regression")
"""Whose answers one network can have from another."""


class Distill(Frozen):
    """Training lowers (1 - weight) times the loss with the labels, plus weight times how far the answers are from the
    teacher's: T^2 KL(teacher || student), both softened by the temperature T (Hinton, Vinyals and Dean 2015); of a
    regression the mean squared error to the teacher's numbers (Ba and Caruana 2014).

    The teacher is the best step of its run, does not train, and sees the pixels that the student sees, before a task
    corrupts them. Of several heads each learns from the teacher's of its name, and by its labels alone where there is
    none. In history.csv train/loss is the labels' alone, as in validation, and train/distillation the teacher's.
    """

    teacher: Str = Field(description="the directory of its run")
    temperature: PositiveFloat = Field(default=4.0, description="by which both networks' logits are divided")
    weight: Fraction = Field(default=0.5, description="of the teacher's answers; the labels have the rest")


def distill_contradictions(experiment: "Experiment") -> Iterator[tuple[Path, str]]:
    """Distillation of what nobody can teach, where the spec says itself what is learnt."""
    task = experiment.task
    if experiment.distill is None or task is None:
        return
    heads = getattr(task, "heads", {"": None})
    names = [task.name if head is None else head.task.name for head in heads.values()]
    yield from untaught(experiment.distill, names)


def untaught(distill: Distill, tasks: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """What of `distill` does not go with these tasks, that of a network or those of its heads."""
    if not set(tasks) & set(TASKS):
        yield ("distill",), not_taught(" and ".join(dict.fromkeys(tasks)))
    elif not set(tasks) & set(DISTRIBUTIONS) and distill.temperature != Distill.model_fields["temperature"].default:
        message = "the temperature is of distributions, and a regression has numbers; leave it out"
        yield ("distill", "temperature"), message


def not_taught(task: str) -> str:
    """The sentence on a task that cannot be distilled."""
    return f"{task} cannot be learnt from a teacher; {', '.join(TASKS[:-1])} and {TASKS[-1]} can"
