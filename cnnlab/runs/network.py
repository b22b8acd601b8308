"""A spec's or a run's network without its weights: traced from shapes, for tables and for model.json."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from cnnlab.data.inputs import read_inputs
from cnnlab.data.prepare import Prepared
from cnnlab.errors import DataError, SpecError
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.recompute import has_blocks
from cnnlab.receptive_field.fields import fields
from cnnlab.receptive_field.report import Report
from cnnlab.runs.directory import open_run
from cnnlab.runs.pretrained import prepare_experiment
from cnnlab.spec.load import load
from cnnlab.spec.schema import Experiment, NoData
from cnnlab.tasks import made, task_of
from cnnlab.tasks.heads import SeveralHeads
from cnnlab.tasks.task import Task
from cnnlab.trace.cost import LayerCost, cost, totals
from cnnlab.trace.walk import Traced, trace
from cnnlab.train.freeze import Trainable, trainable
from cnnlab.weights.fork import network_for


@dataclass(frozen=True)
class Network:
    """The model and its trace; `prepared` where the spec's data was read; what it learns, or how many classes."""

    experiment: Experiment
    model: nnx.Module
    traced: Traced
    training: Trainable
    notes: tuple[str, ...] = ()
    prepared: Prepared | None = None
    task: Task | int | None = None

    def costs(self) -> tuple[LayerCost, ...]:
        return cost(self.traced, self.model)

    def fields(self, *, ignore_global: bool = False) -> Report | None:
        """None where the input has no spatial axis."""
        return fields(self.traced, ignore_global=ignore_global) if len(self.traced.input_shape) > 1 else None

    def summary(self) -> dict[str, Any]:
        """The content of model.json: parameters, FLOPs, activation memory, receptive field."""
        total, report = totals(self.costs()), self.fields()
        last = report.model if report is not None else None
        return {
            "input_shape": list(self.traced.input_shape),
            "output_shape": list(self.traced.output_shape),
            "parameters": total.parameters,
            "trained_parameters": self.training.trained,
            "multiply_adds": total.multiply_adds,
            "flops": total.flops,
            "activation_bytes": total.activation_bytes,
            "receptive_field": None if report is None or last is None else {**last.to_json(), "exact": report.exact},
        }


def network(
    experiment: Experiment,
    input_shape: tuple[int, ...],
    task: Task | int | None,
    notes: tuple[str, ...] = (),
    prepared: Prepared | None = None,
) -> Network:
    """Build and trace without weights; nothing compiles. Raises SpecError where the shapes do not fit.

    A `task` has its outputs and says whether the network's are right; without data a number of classes may be known.
    """
    model = network_for(experiment.model, input_shape, task, init=Initializer())
    traced, training = trace(model, input_shape), trainable(experiment, model)
    if experiment.train.remat and not has_blocks(model):
        hint = "leave it out, or put layers into residual, branches or repeat"
        raise SpecError("the network has no blocks to recompute", where="train.remat", hint=hint)
    if isinstance(task, Task):
        task.check(traced.output_shape, input_shape)
        notes = (*notes, *task.check_network(model, input_shape))
    return Network(experiment, model, traced, training, notes, prepared, task)


def find_network(target: Path, overrides: list[str], shape: tuple[int, ...] | None) -> Network:
    """The network of a run directory or of a spec file, for its data's shape unless another is given."""
    if target.is_dir():
        run = open_run(target)
        if overrides:
            message = f"a run cannot be overridden: {overrides[0]}"
            raise SpecError(message, where=str(target), hint=f"name its spec: {run.spec}")
        data, experiment = run.read_json(run.data), load(run.resolved, begun=True)
        task = made(experiment, data)
        if shape is not None:
            return network(_without_input(experiment), shape, _whatever_size(task))
        return network(_without_input(experiment), tuple(data["input_shape"]), task)
    experiment = load(target, overrides)
    model = experiment.model
    if isinstance(experiment.data, NoData):
        wanted = shape or model.input
        if wanted is None:
            hint = "give data, model.input, or --input 224,224,3"
            raise SpecError("the spec has no data and no model.input", where=str(target), hint=hint)
        return network(_without_input(experiment), wanted, model.classes)
    try:
        experiment, prepared = prepare_experiment(experiment)
    except DataError as error:
        if shape is None:
            raise
        return network(
            _without_input(experiment), shape, model.classes, (f"{error}: the number of classes is not known",)
        )
    task = task_of(experiment, prepared)
    if shape is not None:
        return network(_without_input(experiment), shape, task, prepared.notes, prepared)
    return network(experiment, prepared.input_shape, task, prepared.notes, prepared)


def _whatever_size(task: Task) -> Task | int:
    """What the network of a task is built by; nobody asks whether another size of input still suits it."""
    return task if isinstance(task, SeveralHeads) else task.outputs


def example(network: Network, file: Path | None) -> np.ndarray | None:
    """An input to show, [*space, channel]: the file's first, else the first that the spec trains on, if it was read.

    Raises DataError where the file holds nothing of the network's shape.
    """
    shape = network.traced.input_shape
    if file is not None:
        return read_inputs(file, shape, pixels=True)[0]
    if network.prepared is None or network.prepared.input_shape != shape:
        return None
    return network.prepared.seen[network.prepared.splits["train"][0]]


def _without_input(experiment: Experiment) -> Experiment:
    """A shape on the command line goes before the spec's own."""
    return experiment.model_copy(update={"model": experiment.model.model_copy(update={"input": None})})
