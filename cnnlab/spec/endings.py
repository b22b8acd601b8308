"""What ends a network against what the loss adds: each of them alone is right, and twice is wrong."""

from collections.abc import Iterator

from cnnlab.spec.coco import Coco
from cnnlab.spec.data import ArraySource, Csv, ImageFolder, NoData
from cnnlab.spec.generators import Function
from cnnlab.spec.losses import Loss, Sum, default_loss, misfits
from cnnlab.spec.records import HuggingFace, RecordSource
from cnnlab.spec.schema import Experiment, LayersModel
from cnnlab.spec.tasks import HeadsTask, RegressionTask
from cnnlab.spec.yaml import Path

Contradictions = Iterator[tuple[Path, str]]
SQUASHED = ("softmax", "sigmoid")  # layers whose values are probabilities
_OWN = {"cross_entropy": "softmax", "dice": "softmax", "focal": "softmax", "binary_cross_entropy": "sigmoid"}
_OF_SCORES = (*_OWN, "hinge", "perceptron")
WITH_MORE_TO_SAY = ("reconstruction", "perceptron")  # about the last layer: their own contradictions
_OF_TARGET = {
    "class": "classification",
    "labels": "multi_label",
    "values": "regression",
    "mask": "segmentation",
}


def endings(experiment: Experiment) -> Contradictions:
    """Where the spec alone says what is learnt: a loss that is not the task's, an end that the loss has in it."""
    if isinstance(experiment.task, HeadsTask):  # each head has an end and a loss of its own: spec/heads.py
        return
    task = experiment.task.name if experiment.task else likely_task(experiment)
    if task and experiment.loss:
        yield from misfits(experiment.loss, task)
    if isinstance(experiment.task, RegressionTask) and ending(experiment)[1] == experiment.task.output != "identity":
        yield ending(experiment)[0], f"task.output applies the {experiment.task.output} itself; leave this one out"
    if isinstance(experiment.data, NoData) and not experiment.task and not experiment.loss:
        # Any network may be looked at; a softmax is refused all the same, as training would.
        yield from (found for found in twice(experiment, default_loss("classification")) if "softmax" in found[1])
    elif experiment.loss or task:
        yield from twice(experiment, experiment.loss or default_loss(task or "classification"), task)


def twice(experiment: Experiment, loss: Loss, task: str | None = None) -> Contradictions:
    """The network's last layer, where its values are probabilities and the loss is of scores."""
    where, last = ending(experiment)
    if task not in WITH_MORE_TO_SAY and (sentence := doubled(last, loss, task)):
        yield where, sentence


def doubled(last: str | None, loss: Loss, task: str | None = None) -> str | None:
    """What is wrong with a last layer of this kind under the loss; None where nothing is."""
    parts = loss.of if isinstance(loss, Sum) else (loss,)
    name = next((part.name for part in parts if part.name in _OF_SCORES), None)
    if last not in SQUASHED or name is None:
        return None
    own = "sigmoid" if (name, task) == ("focal", "multi_label") else _OWN.get(name)
    if last == own:
        return f"{name} applies the {last} itself; leave this one out"
    return f"{name} takes scores without bounds, and the {last} keeps them from 0 to 1; leave it out"


def ending(experiment: Experiment) -> tuple[Path, str | None]:
    """Where the spec names what the network's last layer is, and that: a layer's kind, or an activation."""
    if isinstance(experiment.model, LayersModel):
        last = len(experiment.model.layers) - 1
        return ("model", "layers", last), experiment.model.layers[last].kind
    return ("model", "output"), getattr(experiment.model, "output", None)


def likely_task(experiment: Experiment) -> str | None:
    """What data of this kind is for, where no task is named; None where the data has to be read to know it."""
    data = experiment.data
    if isinstance(data, ArraySource):
        return _OF_TARGET.get(data.target or "")
    if isinstance(data, NoData | RecordSource | HuggingFace | Coco):
        return None
    if isinstance(data, Function):
        return "regression"
    if isinstance(data, Csv) and data.labels is None and data.boxes is not None:
        return None
    if isinstance(data, Csv) and data.labels is None:
        return "regression" if data.values else "segmentation"
    if isinstance(data, Csv) and (isinstance(data.labels, tuple) or data.label_separator is not None):
        return "multi_label"
    if isinstance(data, ImageFolder) and (data.masks is not None or data.boxes is not None):
        return None
    return "classification"
