"""What a network says of files that belong to no run's data: logits, probabilities or features."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from cnnlab import kernels
from cnnlab.errors import DataError, SpecError
from cnnlab.layers.windows import show
from cnnlab.runs.predictor import Output, Predictor
from cnnlab.tasks.heads import ALONE, SeveralHeads
from cnnlab.tasks.reconstruction import CODES, Reconstruction
from cnnlab.tasks.task import Task
from cnnlab.train.precision import forward, inference
from cnnlab.train.state import from_named, named_leaves, split
from cnnlab.weights.head import without_head
from cnnlab.weights.match import Weights

BATCH = 32
Named = dict[str, np.ndarray]  # outputs [example, ...] by the heads' names


@dataclass(frozen=True)
class Answers:
    """One row an example: its file, its place there, and the network's values [example, ...]; notes on the weights.

    With `one_of` the values are of classes, of which one holds. Of several heads there are answers by name, and no
    `values` beside them. mse: of reconstructions, the mean squared error of each example in its own units.
    """

    files: list[str]
    indices: list[int]
    values: np.ndarray
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    one_of: bool = True
    heads: Mapping[str, "Answers"] = field(default_factory=dict)
    mse: np.ndarray | None = None


def predict(predictor: Predictor, paths: Sequence[Path], output: Output) -> Answers:
    """The output for every example of every file, which are all read first. Raises DataError and SpecError."""
    _check_output(predictor.task, output)
    inputs = [predictor.read(path) for path in paths]
    weights, notes = predictor.load()
    answers: list[Named] = []
    forwards: dict[tuple[int, ...], Callable[[np.ndarray], Named]] = {}
    for path, x in zip(paths, inputs, strict=True):
        if x.shape[1:] not in forwards:
            network = predictor.make(x.shape[1:])
            forwards[x.shape[1:]] = answering(predictor, network, weights, x.shape[1:], output, str(path))
        answers.append(_in_batches(forwards[x.shape[1:]], x))
    for name in answers[0]:
        if len(found := {show(values[name].shape[1:]) for values in answers}) > 1:
            message = f"the files give {output} of different shapes: {', '.join(sorted(found))}"
            raise DataError(message, hint="predict them one by one")
    files_of = [str(path) for path, x in zip(paths, inputs, strict=True) for _ in x]
    indices = [i for x in inputs for i in range(len(x))]
    joined = {name: np.concatenate([values[name] for values in answers]) for name in answers[0]}

    def of(name: str, task: Task | None, notes: tuple[str, ...] = ()) -> Answers:
        one_of, mse = task is None or task.one_of, None
        classes = predictor.classes if task is None else task.names
        if output == predictor.output and isinstance(task, Reconstruction):
            mse = np.concatenate([task.errors(x, found[name]) for x, found in zip(inputs, answers, strict=True)])
        return Answers(files_of, indices, joined[name], classes, notes, one_of, mse=mse)

    task = predictor.task
    if ALONE in joined:
        return of(ALONE, task, notes)
    assert isinstance(task, SeveralHeads)
    parts = {head.name: of(head.name, head.task) for head in task.heads}
    return Answers(files_of, indices, np.zeros((len(files_of), 0)), (), notes, heads=parts)


def _check_output(task: Task | None, output: Output) -> None:
    """Raises SpecError where the task has no such output."""
    if output in ("reconstruction", "code") and not isinstance(task, Reconstruction):
        head = task.reconstructing if isinstance(task, SeveralHeads) else None
        hint = "" if head is None else f"choose that head with --head {head.name}"
        raise SpecError(f"{output} is of runs whose task is reconstruction", where="--output", hint=hint)
    if output == "probabilities" and isinstance(task, Reconstruction):
        hint = "ask for reconstruction, code, features or logits"
        raise SpecError("a reconstruction has no probabilities", where="--output", hint=hint)


def answering(
    predictor: Predictor, network: nnx.Module, weights: Weights, shape: tuple[int, ...], output: Output, where: str
) -> Callable[[np.ndarray], Named]:
    """x [batch, *space, channel] to the output [batch, ...], compiled. Raises DataError if examples do not fit."""
    kernels.enable()
    if output == "features":
        network = without_head(network, shape)
    elif output == "code" and isinstance(predictor.task, Reconstruction):
        network = _encoder(predictor.task, network)
    graph, params, stats = split(network)
    for leaf, value in (named_leaves(params) | named_leaves(stats)).items():
        if value.shape != weights[leaf].shape:
            shapes = f"{leaf} would be {show(value.shape)}, and is {show(weights[leaf].shape)}"
            hint = "give [example, height, width, channel], of the size that the network was trained on"
            raise DataError(f"examples of {show(shape)} do not fit the weights: {shapes}", where=where, hint=hint)
    params, stats = (from_named(weights, tree) for tree in (params, stats))

    @partial(jax.jit, compiler_options=kernels.compiler_options())
    def answer(params: Any, stats: Any, x: jax.Array) -> dict[str, jax.Array]:
        y = forward(nnx.merge(graph, params, stats), x, predictor.precision, inference())
        if predictor.head is not None and isinstance(y, dict):
            y = y[predictor.head]
        if output == predictor.output:
            y = jax.nn.softmax(y) if predictor.task is None else predictor.task.answer(y)
        return y if isinstance(y, dict) else {ALONE: y}

    return lambda x: {name: np.asarray(values) for name, values in answer(params, stats, x).items()}


def _encoder(task: Reconstruction, network: nnx.Module) -> nnx.Module:
    encoder = task.encoder(network)
    if encoder is None:
        hint = f"name a layer {' or '.join(CODES)}, or task.code, and train again"
        raise SpecError("the network has no layer for the code", where="--output", hint=hint)
    return encoder


def _in_batches(forward: Callable[[np.ndarray], Named], x: np.ndarray) -> Named:
    """All of x through the function, in batches of one size, so that it is compiled once."""
    size = min(BATCH, len(x))
    parts = []
    for start in range(0, len(x), size):
        rows = x[start : start + size]
        padded = np.concatenate([rows, np.zeros((size - len(rows), *rows.shape[1:]), rows.dtype)])
        parts.append({name: values[: len(rows)] for name, values in forward(padded).items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
