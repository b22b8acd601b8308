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
from cnnlab.spec.distill import DISTRIBUTIONS, untaught
from cnnlab.spec.load import load
from cnnlab.spec.schema import Experiment
from cnnlab.spec.yaml import dotted
from cnnlab.tasks import task_of
from cnnlab.tasks.heads import ALONE
from cnnlab.tasks.task import Task
from cnnlab.tasks.teaching import WHERE, pairs, parts
from cnnlab.trace.cost import cost, totals
from cnnlab.trace.walk import trace
from cnnlab.train.state import from_named, split
from cnnlab.train.step import Sizes
from cnnlab.train.teacher import Teacher
from cnnlab.weights.fork import network_for

NAMED = {"multi_label": ("label", "labels"), "regression": ("value", "values")}


@dataclass(frozen=True, eq=False)
class Lesson:
    """A teacher, the SHA-256 of its weights, what it costs (multiply-adds of one example), sentences for the user.

    `softened`: whether any of its answers is a distribution, which the temperature is for.
    """

    teacher: Teacher
    sha256: str
    parameters: int
    multiply_adds: int
    notes: tuple[str, ...]
    softened: bool = True


def find_lesson(experiment: Experiment, prepared: Prepared) -> Lesson | None:
    """What `distill` names; None without it. Raises SpecError where there is no such run, or it does not fit."""
    distill = experiment.distill
    if distill is None:
        return None
    task = task_of(experiment, prepared)
    for where, message in untaught(distill, [part.name for part in parts(task).values()]):
        raise SpecError(message, where=dotted(where))
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
    found = pairs(task, sizes.task)
    ours, theirs = parts(task), parts(sizes.task)
    _check_inputs(sizes, data["dtype"], prepared)
    for mine, other in found.items():
        _check_same(theirs[other], ours[mine], mine or other)
    model = network_for(experiment.model, sizes.input_shape, sizes.task, init=Initializer())
    traced = trace(model, sizes.input_shape)
    _check_maps(model, found, ours, prepared)
    weights, _, notes = run_weights(run, "best")
    graph, params, stats = split(model)
    params, stats = (from_named(weights, tree) for tree in jax.device_get((params, stats)))
    return Lesson(
        Teacher(graph, params, stats, sizes.mean, sizes.std, experiment.precision, sizes.task, found),
        fingerprint(weights),
        sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))),
        totals(cost(traced, model)).multiply_adds,
        (*unfinished(run), *notes, *_untaught(found, ours), *_seen_before(run, data, prepared)),
        any(ours[mine].name in DISTRIBUTIONS for mine in found),
    )


def fingerprint(weights: Mapping[str, np.ndarray]) -> str:
    """The SHA-256 of weights by their names."""
    digest = hashlib.sha256()
    for name, values in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(np.asarray(values).tobytes())
    return digest.hexdigest()


def _check_inputs(sizes: Sizes, dtype: str, prepared: Prepared) -> None:
    """Raises SpecError where the teacher has learnt of other inputs."""
    kind = dtype, prepared.dataset.x.dtype.name
    if sizes.input_shape != prepared.input_shape:
        message = f"the teacher's inputs are {show(sizes.input_shape)}, and these are {show(prepared.input_shape)}"
    elif kind[0] != kind[1]:
        message = f"the teacher was trained on {kind[0]} values, and these are {kind[1]}"
    else:
        return
    raise SpecError(message, where=WHERE, hint="train a teacher on this data")


def _check_same(teacher: Task, student: Task, head: str) -> None:
    """Raises SpecError where the teacher's part has learnt something else than the student is to; `head`: its name."""
    theirs, ours = teacher.names, student.names
    one, several = NAMED.get(student.name, ("class", "classes"))
    of_head = f" of the head '{head}'" if head else ""
    if teacher.name != student.name:
        message = f"the teacher{of_head} has learnt {teacher.name}, and this is {student.name}"
    elif len(theirs) != len(ours):
        message = f"the teacher{of_head} knows {len(theirs)} {several}, and there are {len(ours)} here"
    elif theirs != ours:
        place = next(i for i, pair in enumerate(zip(theirs, ours, strict=True)) if pair[0] != pair[1])
        message = f"the teacher's {one} {place}{of_head} is '{theirs[place]}', and here it is '{ours[place]}'"
    else:
        return
    raise SpecError(message, where=WHERE, hint="train a teacher on this data")


def _check_maps(model: nnx.Module, found: Mapping[str, str], ours: Mapping[str, Task], prepared: Prepared) -> None:
    """Raises SpecError where the teacher's map of classes is smaller than the input."""
    whole = prepared.input_shape
    graph, state = nnx.split(model)
    given = jax.ShapeDtypeStruct((1, *whole), np.float32)
    shapes: Any = jax.eval_shape(lambda state, x: nnx.merge(graph, state)(x), state, given)
    for mine, theirs in found.items():
        space = (shapes if theirs == ALONE else shapes[theirs]).shape[1:-1]
        if ours[mine].name == "segmentation" and space != whole[:-1]:
            message = f"the teacher's map is {show(space)}, and the input {show(whole[:-1])}"
            raise SpecError(message, where=WHERE, hint="choose one whose map is as large as the input")


def _untaught(found: Mapping[str, str], ours: Mapping[str, Task]) -> tuple[str, ...]:
    """A sentence on heads that have no teacher."""
    alone = [name for name in ours if name not in found]
    return (f"without a teacher learns the head {', '.join(alone)}",) if alone else ()


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
