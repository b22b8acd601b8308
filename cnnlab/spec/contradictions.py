"""Settings that are right one by one and contradict each other."""

from collections.abc import Iterator

from cnnlab.spec.reconstruction_contradictions import reconstruction_contradictions
from cnnlab.spec.schedules import Constant, Schedule, Step
from cnnlab.spec.schema import Experiment, LayersModel
from cnnlab.spec.source_contradictions import source_contradictions
from cnnlab.spec.vocabulary import Branches, CropConcat, LayerSpec, Repeat, Residual
from cnnlab.spec.yaml import Path


def contradictions(experiment: Experiment) -> Iterator[tuple[Path, str]]:
    """Each as the path of one of the settings, as if no short form was used, and a sentence that names both."""
    yield from source_contradictions(experiment.data)
    yield from _split(experiment)
    yield from _learning(experiment)
    yield from _transfer(experiment)
    yield from reconstruction_contradictions(experiment)
    for i, augmentation in enumerate(experiment.data.augment):
        given = augmentation.model_dump(exclude_none=True)
        if len(given) != 1:
            words = ", ".join(given) or "nothing"
            yield ("data", "augment", i), f"one of shift, rotate, flip, noise an entry, not {words}"
    if isinstance(experiment.model, LayersModel):
        last = len(experiment.model.layers) - 1
        if experiment.model.layers[last].kind == "softmax":
            yield ("model", "layers", last), "cross_entropy applies the softmax itself; leave this one out"
        yield from _names(experiment.model.layers, ("model", "layers"))


def _split(experiment: Experiment) -> Iterator[tuple[Path, str]]:
    split = experiment.data.split
    if split is None:
        return
    total = split.train + split.validation + split.test
    if abs(total - 1) > 1e-9:
        yield ("data", "split"), f"train, validation and test must add up to 1, and add up to {total:g}"
    stopping = experiment.train.early_stopping
    if (
        stopping
        and stopping.metric.startswith("validation/")
        and split.validation == 0
        and experiment.data.source == "digits"
    ):
        path = ("train", "early_stopping", "metric")
        yield (
            path,
            f"{stopping.metric} is never measured: data.split.validation is 0; watch train/loss",
        )


def _learning(experiment: Experiment) -> Iterator[tuple[Path, str]]:
    rate, epochs = experiment.optimizer.learning_rate, experiment.train.epochs
    here: Path = ("optimizer", "learning_rate")
    if isinstance(rate, Schedule) and rate.warmup_epochs > epochs:
        # The default warm-up of one epoch always fits; only a stated one can be too long.
        yield (
            (*here, "warmup_epochs"),
            f"{rate.warmup_epochs:g} epochs of warm-up, and train.epochs is {epochs}",
        )
    if isinstance(rate, Step) and (rate.every_epochs is None) == (rate.at_epochs is None):
        yield here, "a step schedule takes one of every_epochs and at_epochs"
    if isinstance(rate, Step) and rate.at_epochs and max(rate.at_epochs) >= epochs:
        yield (*here, "at_epochs"), f"epoch {max(rate.at_epochs)} never comes: train.epochs is {epochs}, counted from 0"
    if isinstance(rate, Schedule) and not isinstance(rate, Constant | Step) and getattr(rate, "end", 0) > rate.peak:
        yield (*here, "end"), f"end {rate.end:g} is above peak {rate.peak:g}"  # type: ignore[attr-defined]
    if getattr(experiment.optimizer, "nesterov", False) and getattr(experiment.optimizer, "momentum", 1) == 0:
        yield ("optimizer", "nesterov"), "nesterov needs a momentum above 0"


def _transfer(experiment: Experiment) -> Iterator[tuple[Path, str]]:
    model, epochs = experiment.model, experiment.train.epochs
    if model.new_head and model.weights is None:
        yield ("model", "new_head"), "a new head on what? Give model.weights, or leave it out"
    if model.unfreeze_at_epoch is not None and not model.freeze:
        yield ("model", "unfreeze_at_epoch"), "nothing is frozen: give model.freeze, or leave it out"
    elif model.unfreeze_at_epoch is not None and model.unfreeze_at_epoch >= epochs:
        message = f"epoch {model.unfreeze_at_epoch} never comes: train.epochs is {epochs}, counted from 0"
        yield ("model", "unfreeze_at_epoch"), message


def _names(layers: tuple[LayerSpec, ...], path: Path) -> Iterator[tuple[Path, str]]:
    seen: dict[str, int] = {}
    for i, layer in enumerate(layers):
        here: Path = (*path, i)
        name = layer.name or f"{layer.kind}_{i}"  # as the network calls it
        if name in seen:
            yield here, f"the name '{name}' is taken by entry {seen[name]} of the same list"
        seen[name] = i
        if isinstance(layer, Residual):
            yield from _names(layer.body, (*here, "residual", "body"))
            if not isinstance(layer.shortcut, str):
                yield from _names(layer.shortcut, (*here, "residual", "shortcut"))
        elif isinstance(layer, CropConcat):
            yield from _names(layer.body, (*here, "crop_concat", "body"))
        elif isinstance(layer, Branches):
            for j, branch in enumerate(layer.lists):
                yield from _names(branch, (*here, "branches", "lists", j))
        elif isinstance(layer, Repeat):
            yield from _names(layer.layers, (*here, "repeat", "layers"))
