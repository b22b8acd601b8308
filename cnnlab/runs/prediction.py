"""What a network says of files that belong to no run's data: logits, probabilities or features."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from flax import nnx

from cnnlab import kernels
from cnnlab.data.crop import centre, cropped
from cnnlab.data.geometry import frame_of
from cnnlab.data.inputs import check_image, is_array, read_batch, read_cropped, read_inputs
from cnnlab.errors import DataError, SpecError
from cnnlab.layers.windows import show
from cnnlab.models import TORCH_NAMES
from cnnlab.runs.directory import Run
from cnnlab.runs.weights import (
    architecture,
    bare,
    description_model,
    named_model,
    run_description,
    run_weights,
    sized_by_head,
)
from cnnlab.spec.data import decoder_of, with_own_decoder
from cnnlab.spec.load import load
from cnnlab.tasks import made
from cnnlab.tasks.heads import SeveralHeads
from cnnlab.tasks.reconstruction import CODES, Reconstruction
from cnnlab.tasks.task import Task
from cnnlab.train.precision import forward, inference
from cnnlab.train.state import from_named, named_leaves, split
from cnnlab.weights import files
from cnnlab.weights.head import without_head
from cnnlab.weights.match import Weights, matched
from cnnlab.weights.preprocessing import Preprocessing

PUBLISHED_INPUT = (224, 224, 3)
Output = Literal["logits", "probabilities", "features", "reconstruction", "code"]
BATCH = 32
Named = dict[str, np.ndarray]  # outputs [example, ...] by the heads' names
ALONE = ""  # the name of a network's one output


@dataclass(frozen=True)
class Predictor:
    """A network with its weights: `make` builds it for an input's shape, `read` brings a file into its form.

    `load` gives the weights, and notes on damaged checkpoints; it is called when all files are read. `precision` is
    that of the run; weights alone are used in float32.
    """

    make: Callable[[tuple[int, ...]], nnx.Module]
    load: Callable[[], tuple[Weights, tuple[str, ...]]]
    read: Callable[[Path], np.ndarray]
    classes: tuple[str, ...]
    precision: str = "float32"
    task: Task | None = None

    @property
    def output(self) -> Output:
        """What it is there for."""
        return "reconstruction" if isinstance(self.task, Reconstruction) else "probabilities"


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


def of_run(run: Run, checkpoint: str) -> Predictor:
    """A run's network. Images and arrays go through the run's own preprocessing."""
    description = run_description(run)
    experiment, data, before = load(run.resolved, begun=True), run.read_json(run.data), description.preprocessing
    assert before is not None
    assert description.classes is not None
    shape = tuple(data["input_shape"])
    task = made(experiment, data)
    make = partial(bare, experiment.model, classes=task)
    crop = shape[:-1] if cropped(data) else None
    decoder = decoder_of(with_own_decoder(experiment.data))
    whole = shape if crop is None else (*data["evaluation"]["resize"], shape[-1])
    frame = frame_of(experiment.data, len(shape) - 1)

    def read(path: Path) -> np.ndarray:
        pixels = read_inputs(path, whole, pixels=before.pixels, decoder=decoder, frame=frame)
        return normalized(centre(pixels, crop), before)

    def weights() -> tuple[Weights, tuple[str, ...]]:
        found, _, notes = run_weights(run, checkpoint)
        return found, notes

    return Predictor(make, weights, read, task.names, experiment.precision, task)


def of_weights(path: Path, name: str | None) -> Predictor:
    """A network with imported weights. Images go through the weights' preprocessing, arrays as they are.

    `name` is an architecture or a spec file; None: what the weights file itself says. Raises DataError.
    """
    found, description = files.read(path)
    if name is None and description is None:
        raise SpecError("the weights say nothing of their network", where=str(path), hint="name it with --model")
    own = None if description is None else description_model(description)
    model = own if name is None else named_model(name, [])
    assert model is not None
    if own is not None and architecture(own) != architecture(model):
        message = f"holds the weights of {architecture(own) or 'layers of its own'}, not of {name}"
        raise DataError(message, where=str(path), hint="leave --model out to use the network that they belong to")
    before = None if description is None else description.preprocessing
    shape = model.input or (own and own.input) or ((*before.size, len(before.mean)) if before else None)
    if shape is None:
        if architecture(model) not in TORCH_NAMES:
            hint = "give model.input in a spec, or import them with --input"
            raise SpecError(f"the input's shape of {name} is not known", where=str(path), hint=hint)
        shape = PUBLISHED_INPUT
    network, count = sized_by_head(model, shape, found, description)
    weights = matched(network, architecture(model), len(shape) - 1, found, description, str(path))
    names = description.classes if description is not None and description.classes else tuple(map(str, range(count)))
    make = partial(bare, model, classes=count)
    return Predictor(make, lambda: (weights, ()), lambda file: _read(file, before, str(path)), names)


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
    task = predictor.task
    if ALONE in joined:
        one_of, mse = task is None or task.one_of, None
        if output == "reconstruction" and isinstance(task, Reconstruction):
            mse = np.concatenate([task.errors(x, found[ALONE]) for x, found in zip(inputs, answers, strict=True)])
        return Answers(files_of, indices, joined[ALONE], predictor.classes, notes, one_of, mse=mse)
    assert isinstance(task, SeveralHeads)
    parts = {
        head.name: Answers(files_of, indices, joined[head.name], head.task.names, (), head.task.one_of)
        for head in task.heads
    }
    return Answers(files_of, indices, np.zeros((len(files_of), 0)), (), notes, heads=parts)


def _check_output(task: Task | None, output: Output) -> None:
    """Raises SpecError where the task has no such output."""
    if output in ("reconstruction", "code") and not isinstance(task, Reconstruction):
        raise SpecError(f"{output} is of runs whose task is reconstruction", where="--output")
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


def _read(path: Path, before: Preprocessing | None, weights: str) -> np.ndarray:
    """Arrays as they are, but uint8, which is pixels; images and pixels through the weights' preprocessing."""
    x = read_batch(path) if is_array(path) else None
    if x is None:
        check_image(path)
    elif x.dtype != np.uint8:
        return x
    if before is not None and not before.pixels:
        message = "pixels, and the weights were trained on other values"
        raise DataError(message, where=str(path), hint="give float arrays, normalised as in training")
    if before is None:
        hint = "import them again with --mean, --std and --size, or give float arrays"
        raise DataError("the weights say nothing of the preprocessing of pixels", where=weights, hint=hint)
    if x is None:
        x = read_cropped(path, len(before.mean), before.size, before.resize, before.interpolation, before.longer)
    if x.shape[-1] != len(before.mean):
        message = f"the array has the shape {list(x.shape)}, and the channels of the network are {len(before.mean)}"
        raise DataError(message, where=str(path), hint="give [example, height, width, channel]")
    return normalized(x, before)


def normalized(x: np.ndarray, before: Preprocessing) -> np.ndarray:
    """uint8 as 0 to 1, minus the mean, over the deviation."""
    x = x / np.float32(255) if x.dtype == np.uint8 else x
    return (x - np.array(before.mean, np.float32)) / np.array(before.std, np.float32)
