"""Weights of other programs in, and a run's out."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from cnnlab.data.crop import cropped
from cnnlab.errors import DataError, RunError, SpecError
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.windows import ShapeError, show
from cnnlab.models import PUBLISHED_CLASSES, TORCH_NAMES
from cnnlab.runs.directory import Run, open_run
from cnnlab.runs.evaluation import load_state
from cnnlab.spec.load import load, parse
from cnnlab.spec.resize import KeepAspect
from cnnlab.spec.schema import LayersModel, ModelSpec, Npz
from cnnlab.spec.tasks import HeadsTask
from cnnlab.tasks.task import Task
from cnnlab.trace.walk import trace
from cnnlab.train.state import State, named_leaves
from cnnlab.train.step import Sizes, compile_program
from cnnlab.weights import files
from cnnlab.weights.files import Description
from cnnlab.weights.fork import network_for
from cnnlab.weights.head import head_of
from cnnlab.weights.match import Weights, matched
from cnnlab.weights.names import OURS, counters, schemes, tensors
from cnnlab.weights.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, published

_OF_THE_SPEC = ("weights", "new_head", "freeze", "unfreeze_at_epoch", "init")  # not of the network itself


def architecture(model: ModelSpec) -> str | None:
    """The name of a published network; None for layers of one's own."""
    return getattr(model, "name", None)


def read(path: Path) -> tuple[dict[str, np.ndarray], Description | None]:
    """The tensors of a weights file, or of the best checkpoint of a run directory. Raises DataError and RunError."""
    return run_weights(open_run(path), "best")[:2] if path.is_dir() else files.read(path)


def describe(path: Path) -> Description | None:
    """What is known of the weights in a file or run directory, without reading them; None for a foreign file."""
    return run_description(open_run(path)) if path.is_dir() else files.describe(path)


def run_description(run: Run) -> Description:
    """A run's network, classes and preprocessing, which its weights belong to."""
    data = run.read_json(run.data)
    experiment = load(run.resolved, begun=True)
    sizes = Sizes.of_description(experiment, data)
    mean, std = (tuple(map(float, values)) for values in (sizes.mean, sizes.std))
    pixels = not isinstance(experiment.data, Npz) or data["dtype"] == "uint8"
    model = _of_network(experiment.model)
    aspect = experiment.data.resize if isinstance(experiment.data.resize, KeepAspect) else KeepAspect.model_construct()
    resize = aspect.shorter or (tuple(data["evaluation"]["resize"]) if cropped(data) and not aspect.longer else None)
    before = Preprocessing(mean, std, sizes.input_shape[:-1], resize, pixels=pixels, longer=aspect.longer)
    return Description(model, OURS, sizes.task.names, before)


def _of_network(model: ModelSpec) -> dict[str, Any]:
    """What a file of weights says of its network."""
    without = {*_OF_THE_SPEC, *(() if model.ranks else ("ranks",))}
    return model.model_dump(mode="json", exclude_none=True, exclude=without)


def run_weights(run: Run, checkpoint: str) -> tuple[Weights, Description, tuple[str, ...]]:
    """Every parameter and running statistic of a run, by our names, and notes on damaged checkpoints."""
    experiment, data = load(run.resolved, begun=True), run.read_json(run.data)
    program = compile_program(experiment, Sizes.of_description(experiment, data))
    state, _, notes = load_state(run, experiment, program, checkpoint, "validation" in data["counts"])
    return state_weights(state), run_description(run), notes


def state_weights(state: State) -> Weights:
    """Parameters and running statistics of a state, by our names."""
    return {**named_leaves(state.params), **named_leaves(state.stats)}


def import_weights(
    path: Path,
    name: str,
    overrides: list[str],
    input_shape: tuple[int, ...] | None,
    preprocessing: Mapping[str, Any],
    classes: tuple[str, ...] | None,
    output: Path,
) -> dict[str, Any]:
    """Write a foreign state dict as a file of ours, and say what it holds.

    `name` is an architecture or a spec file, `preprocessing` what differs from the file's own or the published.
    Raises DataError that lists every tensor that does not fit; then nothing is written.
    """
    found, description = files.read(path)
    model = named_model(name, overrides)
    shape, before = _expected(model, name, description, input_shape or model.input, preprocessing)
    network, count = sized_by_head(model, shape, found, description)
    weights = matched(network, architecture(model), len(shape) - 1, found, description, str(path))
    if classes is not None and len(classes) != count:
        raise DataError(f"{len(classes)} names, and the weights have {count} classes", where="--classes")
    names = classes or (description.classes if description else None)
    stored = model.model_copy(update={"input": shape, "classes": count})
    files.write(output, weights, Description(_of_network(stored), OURS, names, before))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, nnx.Param)))
    return {"weights": str(output), "model": name, "tensors": len(weights), "parameters": parameters, "classes": count}


def _expected(
    model: ModelSpec,
    name: str,
    description: Description | None,
    shape: tuple[int, ...] | None,
    given: Mapping[str, Any],
) -> tuple[tuple[int, ...], Preprocessing | None]:
    """The input's shape, `shape` where it is known, and what pixels go through: None where nobody says it."""
    before = description and description.preprocessing
    published_name = architecture(model)
    if before is None and published_name is not None and published_name in TORCH_NAMES:
        before = published(published_name)
        if shape is not None and (len(shape) != 3 or shape[-1] != len(before.mean)):
            before = None
        elif shape is not None and shape[:-1] != before.size:
            before = replace(before, size=shape[:-1], resize=None)
    size, mean = given.get("size", before and before.size), given.get("mean", before and before.mean)
    if shape is None and (size is None or mean is None):
        raise SpecError(f"the input's shape of {name} is not known", where="--input", hint="such as --input 32,32,1")
    shape = shape or (*size, len(mean))
    if given:
        new = {"longer": None, **given} if "resize" in given else given
        before = replace(before or Preprocessing(IMAGENET_MEAN, IMAGENET_STD, shape[:-1]), **new)
        _check_preprocessing(before, shape)
    return shape, before


def _check_preprocessing(before: Preprocessing, shape: tuple[int, ...]) -> None:
    if len(shape) != 3:
        message = f"the input is {show(shape)}, and --mean, --std, --size and the like are for images"
        raise SpecError(message, hint="leave them out")
    for option, numbers in (("--mean", before.mean), ("--std", before.std)):
        if len(numbers) != shape[-1]:
            message = f"{len(numbers)} numbers, and the channels of the input are {shape[-1]}"
            raise SpecError(message, where=option, hint="give one for each")
        if not all(map(math.isfinite, numbers)) or (option == "--std" and min(numbers) <= 0):
            wanted = "finite and above 0" if option == "--std" else "finite"
            raise SpecError(f"{','.join(map(str, numbers))} are not all {wanted}", where=option)


def named_model(name: str, overrides: list[str]) -> ModelSpec:
    """The `model:` of a spec file, or of an architecture's name, with overrides such as `model.auxiliary=false`."""
    if name.endswith((".yaml", ".yml")):
        return load(Path(name), overrides).model
    return parse(f"model: {{name: {name}}}", "--model", overrides).model


def description_model(description: Description) -> ModelSpec:
    """The `model:` that a file of weights describes."""
    return parse(f"model: {json.dumps(dict(description.model))}", "model").model  # YAML takes JSON


def bare(model: ModelSpec, shape: tuple[int, ...], classes: Task | int | None) -> nnx.Module:
    """The network with shapes and no weights, whatever its spec says of input and classes."""
    free = model.model_copy(update={"input": None, "classes": None})
    return network_for(free, shape, classes, init=Initializer())  # type: ignore[arg-type]


def sized_by_head(
    model: ModelSpec, shape: tuple[int, ...], found: Mapping[str, np.ndarray], description: Description | None
) -> tuple[nnx.Module, int]:
    """The network with as many classes as the head in the file has, and their number."""
    if model.classes is not None:
        return bare(model, shape, model.classes), model.classes
    if isinstance(model, LayersModel) and (written := _as_written(model, shape)):
        return written
    network, name = bare(model, shape, PUBLISHED_CLASSES), architecture(model)
    head = f"{head_of(network, shape)}.kernel"
    ours = description is not None and description.scheme == OURS
    for scheme in schemes(name):
        (entry,) = (e for e in tensors(network, name, scheme, len(shape) - 1) if e.ours == head)
        kernel = found.get(entry.ours if ours else entry.torch)
        if kernel is not None and kernel.ndim == len(entry.shape):
            out = -1 if ours else 1 if entry.transposed else 0
            if kernel.shape[out] == (entry.shape if ours else entry.torch_shape)[out]:
                break
            count = max(kernel.shape[out], 2)  # one unit tells two classes apart
            return bare(model, shape, count), count
    return network, PUBLISHED_CLASSES


def _as_written(model: LayersModel, shape: tuple[int, ...]) -> tuple[nnx.Module, int] | None:
    """The network and its outputs where the layers say how many there are; None for `dense: classes`."""
    try:
        network = bare(model, shape, None)
    except ShapeError:
        return None
    outputs = trace(network, shape).output_shape
    return (network, outputs[0]) if len(outputs) == 1 else None


def export_weights(path: Path, checkpoint: str, output: Path) -> dict[str, Any]:
    """Write a run's weights under torch's names and in its layout. Raises RunError."""
    experiment = load(open_run(path).resolved, begun=True)
    if isinstance(experiment.task, HeadsTask):
        hint = "its checkpoints hold them; 'model.weights' of a spec takes the run"
        raise RunError("several heads have no names in torch", where=str(path), hint=hint)
    if experiment.model.ranks:
        hint = "'model.weights' of a spec with the same ranks takes the run"
        raise RunError("the layers of model.ranks have no names in torch", where=str(path), hint=hint)
    weights, description, _ = run_weights(open_run(path), checkpoint)
    model = description_model(description)
    shape = model.input
    assert shape is not None, "a run's resolved spec has the input's shape"
    network = bare(model, shape, model.classes)
    name = architecture(model)
    scheme = next(iter(schemes(name)))
    entries = tensors(network, name, scheme, len(shape) - 1)
    exported = {entry.torch: entry.to_torch(weights[entry.ours]) for entry in entries}
    files.write(output, {**exported, **counters(exported)}, replace(description, scheme=scheme))
    return {"weights": str(output), "tensors": len(exported), "names": scheme}
