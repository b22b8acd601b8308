"""What a spec leaves to the data."""

from typing import Any

from cnnlab.data.prepare import Prepared
from cnnlab.data.split import default_split
from cnnlab.errors import SpecError, did_you_mean
from cnnlab.spec.schema import Experiment
from cnnlab.tasks.task import Task


def resolve(experiment: Experiment, prepared: Prepared, task: Task) -> Experiment:
    """The spec with what only the data can fill in: the default split and batch, the input's shape, the classes.

    Raises SpecError where early stopping watches what is not there.
    """
    stopping = experiment.train.early_stopping
    if stopping and stopping.metric.partition("/")[0] not in prepared.splits:
        message = f"{stopping.metric} is never measured: there is no validation split"
        raise SpecError(message, where="train.early_stopping.metric", hint="give data.split.validation a share")
    if stopping and stopping.metric not in metrics(task):
        hint = did_you_mean(stopping.metric, metrics(task)) or f"there are {', '.join(metrics(task))}"
        raise SpecError(f"{task.name} has no figure {stopping.metric}", where="train.early_stopping.metric", hint=hint)
    split = default_split(prepared.dataset, experiment.data.split)
    update: dict[str, Any] = {"split": split}
    if "batch_size" not in experiment.data.model_fields_set:
        update["batch_size"] = min(experiment.data.batch_size, prepared.counts["train"])
    data = experiment.data.model_copy(update=update)
    sizes = {"input": prepared.input_shape, "classes": task.outputs}
    model = experiment.model
    model = model.model_copy(update={key: size for key, size in sizes.items() if getattr(model, key) is None})
    return experiment.model_copy(update={"data": data, "model": model})


def metrics(task: Task) -> tuple[str, ...]:
    """What early stopping may watch."""
    return (*(f"train/{name}" for name in task.trained), *(f"validation/{name}" for name in task.validated))
