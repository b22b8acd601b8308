"""The teacher of a spec with `distill`: a run, whether it fits, its weights, and which they are."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from cnnlab.data.fingerprint import dataset_fingerprint
from cnnlab.data.prepare import Prepared, splits_from_csv
from cnnlab.errors import CnnlabError, SpecError
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.windows import show
from cnnlab.runs.directory import Run, open_run, unfinished
from cnnlab.runs.weights import run_weights
from cnnlab.spec.distill import TASKS, no_distribution
from cnnlab.spec.load import load
from cnnlab.spec.schema import Experiment
from cnnlab.tasks import task_of
from cnnlab.tasks.task import Task
from cnnlab.trace.cost import cost, totals
from cnnlab.trace.walk import trace
from cnnlab.train.state import from_named, split
from cnnlab.train.step import Sizes
from cnnlab.train.teacher import Teacher
from cnnlab.weights.fork import network_for

WHERE = "distill.teacher"


@dataclass(frozen=True, eq=False)
class Lesson:
    """A teacher, the SHA-256 of its weights, what it costs (multiply-adds of one example), sentences for the user."""

    teacher: Teacher
    sha256: str
    parameters: int
    multiply_adds: int
    notes: tuple[str, ...]


def find_lesson(experiment: Experiment, prepared: Prepared) -> Lesson | None:
    """What `distill` names; None without it. Raises SpecError where there is no such run, or it does not fit."""
    distill = experiment.distill
    if distill is None:
        return None
    task = task_of(experiment, prepared)
    if task.name not in TASKS:
        raise SpecError(no_distribution(task.name), where="distill", hint="leave it out")
    path = Path(distill.teacher)
    if path.is_file():
        raise SpecError(f"{path} is a file, and a teacher is the directory of a run", where=WHERE)
    try:
        return _lesson(open_run(path), task, prepared)
    except CnnlabError as error:
        if error.where == WHERE:
            raise
        where = f"{error.where}: " if error.where else ""
        raise SpecError(f"{where}{error.message}", where=WHERE, hint=error.hint) from None


def _lesson(run: Run, task: Task, prepared: Prepared) -> Lesson:
    experiment, data = load(run.resolved, begun=True), run.read_json(run.data)
    sizes = Sizes.of_description(experiment, data)
    _check_same(sizes, data["dtype"], task, prepared)
    model = network_for(experiment.model, sizes.input_shape, sizes.task, init=Initializer())
    traced = trace(model, sizes.input_shape)
    _check_maps(traced.output_shape, task, prepared)
    weights, _, notes = run_weights(run, "best")
    graph, params, stats = split(model)
    params, stats = (from_named(weights, tree) for tree in jax.device_get((params, stats)))
    return Lesson(
        Teacher(graph, params, stats, sizes.mean, sizes.std, experiment.precision),
        fingerprint(weights),
        sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))),
        totals(cost(traced, model)).multiply_adds,
        (*unfinished(run), *notes, *_seen_before(run, data, prepared)),
    )


def fingerprint(weights: Mapping[str, np.ndarray]) -> str:
    """The SHA-256 of weights by their names."""
    digest = hashlib.sha256()
    for name, values in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(np.asarray(values).tobytes())
    return digest.hexdigest()


def _check_same(sizes: Sizes, dtype: str, task: Task, prepared: Prepared) -> None:
    """Raises SpecError where the teacher has learnt something else, or of other inputs."""
    theirs, ours = sizes.task.names, task.names
    kind = dtype, prepared.dataset.x.dtype.name
    if sizes.task.name != task.name:
        message = f"the teacher has learnt {sizes.task.name}, and this is {task.name}"
    elif sizes.input_shape != prepared.input_shape:
        message = f"the teacher's inputs are {show(sizes.input_shape)}, and these are {show(prepared.input_shape)}"
    elif kind[0] != kind[1]:
        message = f"the teacher was trained on {kind[0]} values, and these are {kind[1]}"
    elif len(theirs) != len(ours):
        message = f"the teacher knows {len(theirs)} classes, and there are {len(ours)} here"
    elif theirs != ours:
        place = next(i for i, pair in enumerate(zip(theirs, ours, strict=True)) if pair[0] != pair[1])
        message = f"the teacher's class {place} is '{theirs[place]}', and here it is '{ours[place]}'"
    else:
        return
    raise SpecError(message, where=WHERE, hint="train a teacher on this data")


def _check_maps(output_shape: tuple[int, ...], task: Task, prepared: Prepared) -> None:
    """Raises SpecError where the teacher's map of classes is smaller than the input."""
    if task.name == "segmentation" and output_shape[:-1] != prepared.input_shape[:-1]:
        message = f"the teacher's map is {show(output_shape[:-1])}, and the input {show(prepared.input_shape[:-1])}"
        raise SpecError(message, where=WHERE, hint="choose one whose map is as large as the input")


def _seen_before(run: Run, data: Mapping[str, Any], prepared: Prepared) -> tuple[str, ...]:
    """A sentence where the teacher has learnt what the student is to be tested on, of which it then tells."""
    if data.get("fingerprints", {}).get("data") != dataset_fingerprint(prepared.dataset):
        return ()
    learnt, found = splits_from_csv(run.splits.read_text(encoding="utf-8"))["train"], []
    for name, indices in prepared.splits.items():
        known = int(np.isin(indices, learnt).sum())
        if name != "train" and known:
            found.append(f"{known:,} of the {len(indices):,} {name} examples")
    if not found:
        return ()
    return (f"the teacher was trained on {' and '.join(found)}: what it tells of them makes the figures too good",)
