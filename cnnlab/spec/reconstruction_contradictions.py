"""Settings of a reconstruction that are right one by one and contradict each other."""

from collections.abc import Iterator
from typing import NamedTuple

from cnnlab.spec.endings import ending
from cnnlab.spec.losses import Loss
from cnnlab.spec.schema import Experiment
from cnnlab.spec.tasks import Corruption, HeadsTask, ReconstructionTask, Sparse
from cnnlab.spec.yaml import Path, dotted

KINDS = "gaussian, masking, salt_and_pepper, patches"
# What an activation can say, where that is not everything.
BOUNDS = {"sigmoid": "0 to 1", "tanh": "-1 to 1", "relu": "0 and more", "softplus": "0 and more"}


class _Part(NamedTuple):
    """A reconstruction of a spec, by itself or as a head: its settings and their places, and what comes last."""

    task: ReconstructionTask
    at: Path
    loss: Loss | None
    loss_at: Path
    last: str | None
    last_at: Path


def reconstruction_contradictions(experiment: Experiment) -> Iterator[tuple[Path, str]]:
    """Each as the path of one of the settings, and a sentence that names both."""
    parts = _parts(experiment)
    for part in parts:
        yield from _corruption(part.task, part.at)
        sparse = part.task.sparse
        if sparse and sparse.penalty == "l1" and sparse.rho != Sparse().rho:
            yield (*part.at, "sparse", "rho"), "rho is of penalty: kullback_leibler, and the penalty is l1"
        yield from _loss(part, normalize=experiment.data.normalize)
        yield from _last_activation(part, normalize=experiment.data.normalize)
    if isinstance(experiment.task, HeadsTask):
        yield from _beside_others(experiment.task, parts)


def _parts(experiment: Experiment) -> list[_Part]:
    task = experiment.task
    if isinstance(task, ReconstructionTask):
        at, last = ending(experiment)
        return [_Part(task, ("task",), experiment.loss, ("loss",), last, at)]
    found, heads = [], task.heads if isinstance(task, HeadsTask) else {}
    for name, head in heads.items():
        here, end = ("task", "heads", name), len(head.layers) - 1
        if isinstance(head.task, ReconstructionTask):
            last = head.layers[end].kind
            found.append(_Part(head.task, (*here, "task"), head.loss, (*here, "loss"), last, (*here, "layers", end)))
    return found


def _beside_others(task: HeadsTask, parts: list[_Part]) -> Iterator[tuple[Path, str]]:
    """What a reconstruction asks of the whole run."""
    for part in parts[1:]:
        yield part.at, f"the head '{parts[0].at[2]}' reconstructs the input already; leave this one out"
    classifying = [name for name, head in task.heads.items() if head.task.name == "classification"]
    for part in parts:
        if part.task.normal is not None and classifying:
            message = f"training keeps to these classes, and the head '{classifying[0]}' has to learn all of them"
            yield (*part.at, "normal"), f"{message}; leave one of the two out"


def _corruption(task: ReconstructionTask, at: Path) -> Iterator[tuple[Path, str]]:
    corruption, here = task.corruption, (*at, "corruption")
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
        yield (*at, "target"), "a second noisy copy of what kind? Give task.corruption, or leave target out"
    for kind in ("masking", "patches"):
        if task.target == "noisy" and kind in kinds:
            yield (*at, "target"), f"the mean of noisy copies is not the input with {kind}: use gaussian noise"
    if task.hidden_only and "patches" not in kinds:
        yield (*at, "hidden_only"), "nothing is hidden without task.corruption.patches"


def _loss(part: _Part, *, normalize: bool) -> Iterator[tuple[Path, str]]:
    name, at = "binary_cross_entropy", (*part.loss_at, "name")
    if part.loss is None or part.loss.name != name:
        return
    if normalize:
        yield at, f"{name} is of values from 0 to 1: set data.normalize to false"
    if part.task.target == "noisy":
        yield at, f"{name} is of values from 0 to 1, and noisy targets leave them: use mean_squared"
    if part.task.hidden_only:
        yield at, f"{name} is never 0, so that {dotted(part.at)}.hidden_only cannot leave out: use mean_squared"


def _last_activation(part: _Part, *, normalize: bool) -> Iterator[tuple[Path, str]]:
    """What comes last must be able to say what is wanted."""
    if part.last not in BOUNDS:
        return
    if part.loss is not None and part.loss.name == "binary_cross_entropy":
        yield part.last_at, f"binary_cross_entropy applies the sigmoid itself; leave {part.last} out"
    elif normalize:
        values = f"{part.last} says {BOUNDS[part.last]}, and the normalised input is positive and negative"
        yield part.last_at, f"{values}: leave it out, or set data.normalize to false"
