"""A network that is asked about files: of a run, or with weights alone; how files come into its form."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from flax import nnx

from cnnlab.data.crop import centre, cropped
from cnnlab.data.geometry import frame_of
from cnnlab.data.inputs import check_image, is_array, read_batch, read_cropped, read_inputs
from cnnlab.errors import DataError, SpecError, did_you_mean
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
from cnnlab.tasks.reconstruction import Reconstruction
from cnnlab.tasks.task import Task
from cnnlab.weights import files
from cnnlab.weights.match import Weights, matched
from cnnlab.weights.preprocessing import Preprocessing

PUBLISHED_INPUT = (224, 224, 3)
Output = Literal["logits", "probabilities", "features", "reconstruction", "code"]


@dataclass(frozen=True)
class Predictor:
    """A network with its weights: `make` builds it for an input's shape, `read` brings a file into its form.

    `load` gives the weights, and notes on damaged checkpoints; it is called when all files are read. `precision` is
    that of the run; weights alone are used in float32. `head`: the name of the one of several that is asked, whose
    task is `task`.
    """

    make: Callable[[tuple[int, ...]], nnx.Module]
    load: Callable[[], tuple[Weights, tuple[str, ...]]]
    read: Callable[[Path], np.ndarray]
    classes: tuple[str, ...]
    precision: str = "float32"
    task: Task | None = None
    head: str | None = None

    @property
    def output(self) -> Output:
        """What it is there for."""
        return "reconstruction" if isinstance(self.task, Reconstruction) else "probabilities"


def of_run(run: Run, checkpoint: str, head: str | None = None) -> Predictor:
    """A run's network, or of several heads one as if it were alone. Images and arrays go through the run's own
    preprocessing. Raises SpecError where there is no such head."""
    description = run_description(run)
    experiment, data, before = load(run.resolved, begun=True), run.read_json(run.data), description.preprocessing
    assert before is not None
    assert description.classes is not None
    shape = tuple(data["input_shape"])
    whole_task = task = made(experiment, data)
    if head is not None:
        whole_task, task = _one_head(task, head)
    make = partial(bare, experiment.model, classes=whole_task)
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

    return Predictor(make, weights, read, task.names, experiment.precision, task, head)


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


def _one_head(task: Task, name: str) -> tuple[SeveralHeads, Task]:
    """The task without its other heads, and that of the one. Raises SpecError where there is none of this name."""
    if not isinstance(task, SeveralHeads):
        raise SpecError(f"the run learns {task.name} alone, without heads", where="--head", hint="leave it out")
    for head in task.heads:
        if head.name == name:
            return replace(task, heads=(head,)), head.task
    hint = did_you_mean(name, task.names) or f"there are {', '.join(task.names)}"
    raise SpecError(f"the run has no head '{name}'", where="--head", hint=hint)


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
