"""What a spec leaves to the data."""

from typing import Any

from cnnlab.data.batches import steps_per_epoch
from cnnlab.data.prepare import Prepared
from cnnlab.data.split import default_split
from cnnlab.errors import SpecError, did_you_mean
from cnnlab.spec.learning import watching
from cnnlab.spec.schema import Experiment
from cnnlab.spec.schema import Task as TaskSpec
from cnnlab.spec.tasks import HeadsTask
from cnnlab.tasks import inferred
from cnnlab.tasks.heads import SeveralHeads
from cnnlab.tasks.task import Task


def resolve(experiment: Experiment, prepared: Prepared, task: Task) -> Experiment:
    """The spec with what only the data can fill in: the default split and batch, the input's shape, the classes.

    Raises SpecError where early stopping or a plateau watches what is not there, or where what is to come after some
    steps never does.
    """
    for where, watched in watching(experiment):
        if watched.metric.partition("/")[0] not in prepared.splits:
            message = f"{watched.metric} is never measured: there is no validation split"
            raise SpecError(message, where=where, hint="give data.split.validation a share")
        if watched.metric not in metrics(task):
            hint = did_you_mean(watched.metric, metrics(task)) or f"there are {', '.join(metrics(task))}"
            raise SpecError(f"{task.name} has no figure {watched.metric}", where=where, hint=hint)
    split = default_split(prepared.dataset, experiment.data.split)
    update: dict[str, Any] = {"split": split}
    if experiment.data.batch_size == "all":
        update["batch_size"] = prepared.counts["train"]
    elif "batch_size" not in experiment.data.model_fields_set:
        update["batch_size"] = min(experiment.data.batch_size, prepared.counts["train"])
    data = experiment.data.model_copy(update=update)
    check_updates(experiment, steps_per_epoch(prepared.counts["train"], data.batch_size))
    filled = {"task": _with_losses(experiment.task or inferred(prepared), task), "loss": getattr(task, "loss", None)}
    classes = task.classes if (task.classes or 0) > 1 else None
    sizes: dict[str, Any] = {"input": prepared.input_shape, "classes": classes}
    model = experiment.model
    model = model.model_copy(update={key: size for key, size in sizes.items() if getattr(model, key) is None})
    return experiment.model_copy(update={**filled, "data": data, "model": model})


def _with_losses(spec: TaskSpec, task: Task) -> TaskSpec:
    """Of several heads each with the loss that is its default."""
    if not (isinstance(spec, HeadsTask) and isinstance(task, SeveralHeads)):
        return spec
    heads = {head.name: spec.heads[head.name].model_copy(update={"loss": head.task.loss}) for head in task.heads}
    return spec.model_copy(update={"heads": heads})


def metrics(task: Task) -> tuple[str, ...]:
    """What early stopping and a plateau may watch."""
    return (*(f"train/{name}" for name in task.trained), *(f"validation/{name}" for name in task.validated))


def check_updates(experiment: Experiment, steps: int) -> None:
    """Raises SpecError where `steps` batches an epoch are too few for what is to happen after more of them."""
    spec, epochs = experiment.optimizer, experiment.train.epochs
    if spec.accumulate > steps:
        message = f"{spec.accumulate} batches make an update, and an epoch has {steps}"
        raise SpecError(message, where="optimizer.accumulate", hint=f"at most {steps}, or a smaller data.batch_size")
    updates = epochs * -(-steps // spec.accumulate)
    if spec.lookahead is not None and spec.lookahead.steps > updates:
        message = f"the slow weights never move: a cycle takes {spec.lookahead.steps} steps, and the run has {updates}"
        raise SpecError(message, where="optimizer.lookahead.steps", hint=f"at most {updates}; 5 is usual")
