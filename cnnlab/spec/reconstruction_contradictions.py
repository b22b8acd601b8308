"""Settings of a reconstruction that are right one by one and contradict each other."""

from collections.abc import Iterator

from cnnlab.spec.schema import Experiment, LayersModel
from cnnlab.spec.tasks import Corruption, ReconstructionTask, Sparse
from cnnlab.spec.yaml import Path

KINDS = "gaussian, masking, salt_and_pepper, patches"
# What an activation can say, where that is not everything.
BOUNDS = {"sigmoid": "0 to 1", "tanh": "-1 to 1", "relu": "0 and more", "softplus": "0 and more"}


def reconstruction_contradictions(experiment: Experiment) -> Iterator[tuple[Path, str]]:
    """Each as the path of one of the settings, and a sentence that names both."""
    task = experiment.task
    if not isinstance(task, ReconstructionTask):
        return
    yield from _corruption(task)
    if task.sparse and task.sparse.penalty == "l1" and task.sparse.rho != Sparse().rho:
        yield ("task", "sparse", "rho"), "rho is of penalty: kullback_leibler, and the penalty is l1"
    yield from _loss(experiment, task)
    yield from _last_activation(experiment)


def _corruption(task: ReconstructionTask) -> Iterator[tuple[Path, str]]:
    corruption, here = task.corruption, ("task", "corruption")
    kinds = () if corruption is None else corruption.kinds
    if corruption is not None:
        if len(kinds) != 1:
            yield here, f"one of {KINDS}, not {' and '.join(kinds) or 'none'}"
        for kind in kinds:
            if getattr(corruption, kind) == 0:
                yield (*here, kind), f"a share of 0 corrupts nothing: give {kind} more, or leave corruption out"
        if corruption.size != Corruption().size and "patches" not in kinds:
            yield (*here, "size"), "size is of patches, and corruption.patches is not there"
    if task.target == "noisy" and corruption is None:
        yield ("task", "target"), "a second noisy copy of what kind? Give task.corruption, or leave target out"
    for kind in ("masking", "patches"):
        if task.target == "noisy" and kind in kinds:
            yield ("task", "target"), f"the mean of noisy copies is not the input with {kind}: use gaussian noise"
    if task.hidden_only and "patches" not in kinds:
        yield ("task", "hidden_only"), "nothing is hidden without task.corruption.patches"


def _loss(experiment: Experiment, task: ReconstructionTask) -> Iterator[tuple[Path, str]]:
    if experiment.loss is None or experiment.loss.name != "binary_cross_entropy":
        return
    name = "binary_cross_entropy"
    if experiment.data.normalize:
        yield ("loss", "name"), f"{name} is of values from 0 to 1: set data.normalize to false"
    if task.target == "noisy":
        yield ("loss", "name"), f"{name} is of values from 0 to 1, and noisy targets leave them: use mean_squared"
    if task.hidden_only:
        yield ("loss", "name"), f"{name} is never 0, so that task.hidden_only cannot leave out: use mean_squared"


def _last_activation(experiment: Experiment) -> Iterator[tuple[Path, str]]:
    """What comes last must be able to say what is wanted."""
    model = experiment.model
    if isinstance(model, LayersModel):
        last = len(model.layers) - 1
        path, activation = ("model", "layers", last), model.layers[last].kind
    else:
        path, activation = ("model", "output"), getattr(model, "output", "identity")
    if activation not in BOUNDS:
        return
    if experiment.loss is not None and experiment.loss.name == "binary_cross_entropy":
        yield path, f"binary_cross_entropy applies the sigmoid itself; leave {activation} out"
    elif experiment.data.normalize:
        values = f"{activation} says {BOUNDS[activation]}, and the normalised input is positive and negative"
        yield path, f"{values}: leave it out, or set data.normalize to false"
