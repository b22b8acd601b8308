"""What `task: perceptron` makes of a spec: Rosenblatt's rule has a rate, and nothing else that could be set."""

from collections.abc import Iterator
from typing import Any

from cnnlab.spec.optimizers import SGD, AdamW
from cnnlab.spec.schedules import Constant
from cnnlab.spec.schema import Experiment, LayersModel
from cnnlab.spec.tasks import PerceptronTask
from cnnlab.spec.train import EarlyStopping
from cnnlab.spec.yaml import Path

RATE = 1.0  # from weights of 0 any other one scales all weights, and changes no answer


def with_rule(experiment: Experiment) -> Experiment:
    """The spec with the rule's own defaults: plain steps at a constant rate, the best epoch that of the fewest errors.

    Of any other task it is the same spec.
    """
    if not isinstance(experiment.task, PerceptronTask):
        return experiment
    optimizer, train = experiment.optimizer, experiment.train
    given = {key: getattr(optimizer, key) for key in optimizer.model_fields_set}
    unnamed = isinstance(optimizer, AdamW) and "name" not in given and set(given) <= set(SGD.model_fields)
    if unnamed or isinstance(optimizer, SGD):
        optimizer = SGD(**{"learning_rate": RATE, **given, "name": "sgd"})
    if train.early_stopping is None:  # the criterion's loss grows with the weights, and chooses badly
        watched = EarlyStopping(metric="train/errors", patience=train.epochs)
        train = train.model_copy(update={"early_stopping": watched})
    return experiment.model_copy(update={"optimizer": optimizer, "train": train})


def rosenblatt(experiment: Experiment) -> Iterator[tuple[Path, str]]:
    """What the rule has no use for, as `contradictions` yields it."""
    if not isinstance(experiment.task, PerceptronTask):
        return
    yield from _model(experiment)
    yield from _optimizer(experiment)
    if experiment.data.augment:
        yield ("data", "augment"), "an epoch without an error says nothing of inputs that change; leave it out"
    if experiment.data.label_noise is not None and experiment.data.label_noise.drawn == "every_epoch":
        yield ("data", "label_noise"), "an epoch without an error says nothing of labels that change; draw them once"
    if experiment.data.sampling is not None:
        yield ("data", "sampling"), "an epoch without an error says nothing of examples that it left out; leave it out"
    if experiment.precision != "float32":
        yield ("precision",), f"the perceptron's rule is computed in float32, not in {experiment.precision}"
    if experiment.train.average is not None:
        yield ("train", "average"), "the perceptron's rule takes no average of its weights; leave it out"
    for key in ("l1", "l2"):
        if experiment.loss is not None and getattr(experiment.loss, key):
            yield ("loss", key), "the perceptron's rule moves weights by errors alone; leave it out"


def _model(experiment: Experiment) -> Iterator[tuple[Path, str]]:
    model = experiment.model
    if isinstance(model, LayersModel):
        *before, last = [layer.kind for layer in model.layers]
        if last != "dense" or set(before) - {"flatten"}:
            yield ("model", "layers"), "the perceptron's rule trains one dense layer, nothing but flatten before it"
    elif (name := str(getattr(model, "name", ""))) != "perceptron":
        yield ("model", "name"), f"the perceptron's rule trains one layer; choose perceptron, not {name}"
    if model.freeze:
        yield ("model", "freeze"), "the perceptron's rule trains its one layer as a whole; leave it out"
    if model.ranks:
        yield ("model", "ranks"), "the perceptron's rule trains one layer, not two in its place; leave it out"


def _optimizer(experiment: Experiment) -> Iterator[tuple[Path, str]]:
    spec = experiment.optimizer
    if not isinstance(spec, SGD):
        yield ("optimizer", "name"), f"the perceptron's rule is no {spec.name}; choose sgd, or leave optimizer out"
        return
    rate: Any = spec.learning_rate
    if not (isinstance(rate, float) or (isinstance(rate, Constant) and rate.warmup_epochs == 0)):
        yield ("optimizer", "learning_rate"), "the perceptron's rule has a constant rate: give a number"
    for key, field in SGD.model_fields.items():
        value = getattr(spec, key)
        if key not in ("name", "learning_rate") and value != field.get_default(call_default_factory=True):
            yield ("optimizer", key), f"the perceptron's rule has no {key}, only a learning_rate; leave it out"
