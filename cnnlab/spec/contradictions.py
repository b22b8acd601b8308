"""Settings that are right one by one and contradict each other."""

from collections.abc import Iterator

from cnnlab.spec.augment import augment_contradictions
from cnnlab.spec.distill import distill_contradictions
from cnnlab.spec.endings import endings
from cnnlab.spec.heads import heads
from cnnlab.spec.learning import learning
from cnnlab.spec.reconstruction_contradictions import reconstruction_contradictions
from cnnlab.spec.rosenblatt import rosenblatt
from cnnlab.spec.schema import Experiment, LayersModel
from cnnlab.spec.source_contradictions import source_contradictions
from cnnlab.spec.split_contradictions import split_contradictions
from cnnlab.spec.tasks import HeadsTask
from cnnlab.spec.vocabulary import Branches, CropConcat, LayerSpec, Repeat, Residual
from cnnlab.spec.yaml import Path


def contradictions(experiment: Experiment) -> Iterator[tuple[Path, str]]:
    """Each as the path of one of the settings, as if no short form was used, and a sentence that names both."""
    yield from source_contradictions(experiment.data)
    yield from split_contradictions(experiment)
    yield from learning(experiment)
    yield from endings(experiment)
    yield from _transfer(experiment)
    yield from distill_contradictions(experiment)
    yield from rosenblatt(experiment)
    yield from heads(experiment)
    yield from reconstruction_contradictions(experiment)
    yield from augment_contradictions(experiment.data.augment)
    if isinstance(experiment.model, LayersModel):
        yield from _names(experiment.model.layers, ("model", "layers"))
    if isinstance(experiment.task, HeadsTask):
        for name, head in experiment.task.heads.items():
            yield from _names(head.layers, ("task", "heads", name, "layers"))


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
