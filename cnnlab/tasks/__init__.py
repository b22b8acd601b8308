"""What to learn: one task, one file, and how a spec and its data come to one."""

from collections.abc import Mapping
from typing import Any

from cnnlab.data.augment import check_mixtures
from cnnlab.data.prepare import Prepared, describe_task_data
from cnnlab.errors import SpecError
from cnnlab.spec.endings import ending, twice
from cnnlab.spec.losses import default_loss, misfits
from cnnlab.spec.schema import Experiment
from cnnlab.spec.schema import Task as TaskSpec
from cnnlab.spec.tasks import (
    ClassificationTask,
    HeadsTask,
    MultiLabelTask,
    PerceptronTask,
    ReconstructionTask,
    RegressionTask,
    SegmentationTask,
)
from cnnlab.spec.yaml import dotted
from cnnlab.tasks.classification import Classification
from cnnlab.tasks.heads import Head, SeveralHeads
from cnnlab.tasks.multi_label import MultiLabel
from cnnlab.tasks.perceptron import Perceptron
from cnnlab.tasks.reconstruction import Reconstruction
from cnnlab.tasks.regression import Regression
from cnnlab.tasks.segmentation import Segmentation
from cnnlab.tasks.task import Task

_OF_TARGETS = {
    "labels": MultiLabelTask(name="multi_label"),
    "values": RegressionTask(name="regression"),
    "mask": SegmentationTask(name="segmentation"),
}


def task_of(experiment: Experiment, prepared: Prepared) -> Task:
    """What the spec asks for, or what the data is for where it asks for nothing. Raises SpecError and DataError."""
    normalization = {"mean": prepared.mean.tolist(), "std": prepared.std.tolist()}
    shape, dtype = list(prepared.input_shape), prepared.dataset.x.dtype.name
    inputs = {"input_shape": shape, "dtype": dtype, "normalization": normalization}
    task = made(experiment, {**describe_task_data(prepared), **inputs})
    if isinstance(task, SeveralHeads):
        ends = [(head.task, head.layers[-1].kind) for head in task.heads]
    else:
        ends = [(task, ending(experiment)[1])]
        for path, message in twice(experiment, task.loss, task.name):
            raise SpecError(message, where=dotted(path))
    if experiment.data.label_noise is not None and not any(part.one_of for part, _ in ends):
        message = f"its noise is a class in place of another, and {task.name} has no classes to an example"
        raise SpecError(message, where="data.label_noise", hint="leave it out")
    for part, last in ends:
        check_mixtures(experiment.data.augment, part.target)
        if isinstance(part, Regression):
            part.check_targets(part.targets(prepared.dataset), experiment.data.where, ending=last)
        if isinstance(part, Reconstruction):
            part.check_inputs(prepared.dataset.x, experiment.data.where)
    return task


def inferred(prepared: Prepared) -> TaskSpec:
    """What the data is for."""
    data = describe_task_data(prepared)
    return _inferred(tuple(data["classes"]), data["targets"])


def made(experiment: Experiment, data: Mapping[str, Any]) -> Task:
    """The task for data that is described as in a run's data.json. Raises SpecError where it is not for it."""
    classes, targets = tuple(data["classes"]), data.get("targets", {})
    task = experiment.task or _inferred(classes, targets)
    if isinstance(task, HeadsTask):
        return _several(experiment, task, data)
    loss = experiment.loss or default_loss(task.name)
    for path, message in misfits(loss, task.name):
        raise SpecError(message, where=dotted(path))
    match task:
        case ClassificationTask():
            _need(bool(classes), "classification", "classes", targets)
            counts = tuple(data.get("counts_per_class", {}).get("train", ()))
            if task.threshold != 0.5 and len(classes) != 2:
                message = f"task.threshold is {task.threshold:g}, and there are {len(classes)} classes"
                raise SpecError(message, hint="it is for two")
            return Classification(classes, loss, counts, task.threshold)
        case PerceptronTask():
            _need(bool(classes), "the perceptron", "classes", targets)
            return Perceptron(classes, loss)
        case MultiLabelTask():
            found, examples = _target(targets, "labels", task.name), data["counts"]["train"]
            return MultiLabel(tuple(found["names"]), loss, tuple(found["counts"]), examples, task.threshold)
        case RegressionTask():
            found = _target(targets, "values", task.name)
            names = tuple(found["names"])
            standardize = task.output == "identity" if task.standardize is None else task.standardize
            if not standardize:
                found = {"mean": [0.0] * len(names), "std": [1.0] * len(names)}
            return Regression(names, loss, tuple(found["mean"]), tuple(found["std"]), task.output)
        case ReconstructionTask():
            mean, std = (tuple(data["normalization"][key]) for key in ("mean", "std"))
            pixels, shape = data["dtype"] == "uint8", tuple(data["input_shape"])
            scaled = pixels or experiment.data.normalize
            return Reconstruction(classes, loss, task, shape, mean, std, pixels, scaled, experiment.seed)
        case SegmentationTask():
            found = _target(targets, "mask", task.name)
            return Segmentation(tuple(found["names"]), loss, tuple(found["counts"]))
    raise SpecError(f"no task {task.name}", where="task")


def _several(experiment: Experiment, task: HeadsTask, data: Mapping[str, Any]) -> SeveralHeads:
    """Every head as if it were alone; what is wrong with it is said of its own place."""
    heads = []
    for name, head in task.heads.items():
        alone = experiment.model_copy(update={"task": head.task, "loss": head.loss})
        try:
            heads.append(Head(name, made(alone, data), head.weight, head.layers))
        except SpecError as error:
            where = f"task.heads.{name}.{error.where or 'task'}"
            raise SpecError(error.message, where=where, hint=error.hint) from None
    return SeveralHeads(tuple(heads))


def _inferred(classes: tuple[str, ...], targets: Mapping[str, Any]) -> TaskSpec:
    """Data with classes is for classification; of other targets there has to be one."""
    if classes:
        return ClassificationTask()
    found = [kind for kind in _OF_TARGETS if kind in targets]
    if "boxes" in targets and found == ["labels"]:
        hint = "task: multi_label learns which classes are in an image"
        raise SpecError("the data has boxes, and no task learns where objects are", where="task", hint=hint)
    if len(found) != 1:
        there = f"has {', '.join(found)}" if found else "says nothing that could be learnt"
        raise SpecError(f"the data {there}", where="task", hint="name the task")
    return _OF_TARGETS[found[0]]


def _target(targets: Mapping[str, Any], kind: str, task: str) -> Mapping[str, Any]:
    _need(kind in targets, task, kind, targets)
    return targets[kind]


def _need(there: bool, task: str, kind: str, targets: Mapping[str, Any]) -> None:
    if not there:
        has = f"has {', '.join(targets)} alone" if targets else "has classes alone"
        message = f"{task} learns {kind}, and the data {has}"
        raise SpecError(message, where="task", hint="choose a task that fits the data")
