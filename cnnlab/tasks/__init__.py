"""What to learn: one task, one file, and how a spec and its data come to one."""

from collections.abc import Mapping
from typing import Any

from cnnlab.data.dataset import Dataset
from cnnlab.errors import SpecError
from cnnlab.spec.schema import Experiment
from cnnlab.tasks.classification import Classification
from cnnlab.tasks.task import Task


def task_of(experiment: Experiment, dataset: Dataset) -> Task:
    """What the spec asks for, or what the data is for where it asks for nothing. Raises SpecError."""
    return made(experiment, {"classes": dataset.classes, "targets": {k: v.names for k, v in dataset.targets.items()}})


def made(experiment: Experiment, data: Mapping[str, Any]) -> Task:
    """The task for data that is described as in a run's data.json."""
    classes = tuple(data["classes"])
    if not classes:
        raise SpecError("the data has no classes", where="data", hint="name a task")
    return Classification(classes, experiment.loss)
