"""Settings of learning that contradict each other: schedules, patience, averages against the length of a run."""

from collections.abc import Iterator
from itertools import chain

from cnnlab.spec.schedules import OneCycle, Plateau, Schedule, Step, WarmedUp, WarmRestarts
from cnnlab.spec.schema import Experiment
from cnnlab.spec.train import PATIENCE, EarlyStopping
from cnnlab.spec.yaml import Path

Contradictions = Iterator[tuple[Path, str]]
RATE: Path = ("optimizer", "learning_rate")


def learning(experiment: Experiment) -> Contradictions:
    """Each as the path of one of the settings and a sentence that names both."""
    rate, epochs = experiment.optimizer.learning_rate, experiment.train.epochs
    if isinstance(rate, Schedule):
        yield from chain(_schedule(rate, epochs), _step(rate, epochs), _plateau(rate, experiment))
    yield from _never_measured(experiment)
    if getattr(experiment.optimizer, "nesterov", False) and getattr(experiment.optimizer, "momentum", 1) == 0:
        yield ("optimizer", "nesterov"), "nesterov needs a momentum above 0"
    stopping, average = experiment.train.early_stopping, experiment.train.average
    if stopping and stopping.patience and stopping.patience > epochs:
        message = f"{stopping.patience} epochs of patience, and train.epochs is {epochs}; lower it, or leave it out"
        yield ("train", "early_stopping", "patience"), message
    if average and average.from_epoch >= epochs:
        yield ("train", "average", "from_epoch"), _never_comes(average.from_epoch, epochs)


def _schedule(rate: Schedule, epochs: int) -> Contradictions:
    if isinstance(rate, WarmedUp) and rate.warmup_epochs > epochs:
        # The default warm-up of one epoch always fits; only a stated one can be too long.
        yield (*RATE, "warmup_epochs"), f"{rate.warmup_epochs:g} epochs of warm-up, and train.epochs is {epochs}"
    for key in ("end", "smallest"):
        if getattr(rate, key, 0) > rate.peak:
            yield (*RATE, key), f"{key} {getattr(rate, key):g} is above peak {rate.peak:g}"
    if isinstance(rate, WarmRestarts) and rate.first_epochs > epochs:
        message = f"the first cycle takes {rate.first_epochs:g} epochs, and train.epochs is {epochs}"
        yield (*RATE, "first_epochs"), message
    if isinstance(rate, OneCycle) and rate.end_share > rate.start_share:
        yield (*RATE, "end_share"), f"end_share {rate.end_share:g} is above start_share {rate.start_share:g}"


def _step(rate: Schedule, epochs: int) -> Contradictions:
    if not isinstance(rate, Step):
        return
    if (rate.every_epochs is None) == (rate.at_epochs is None):
        yield RATE, "a step schedule takes one of every_epochs and at_epochs"
    if rate.at_epochs and max(rate.at_epochs) >= epochs:
        yield (*RATE, "at_epochs"), _never_comes(max(rate.at_epochs), epochs)


def _plateau(rate: Schedule, experiment: Experiment) -> Contradictions:
    if not isinstance(rate, Plateau):
        return
    epochs, stopping = experiment.train.epochs, experiment.train.early_stopping
    if rate.patience >= epochs:
        message = f"{rate.patience} epochs of patience never run out: train.epochs is {epochs}"
        yield (*RATE, "patience"), message
    elif stopping and stopping.metric == rate.metric and (stopping.patience or PATIENCE) <= rate.patience:
        message = f"train.early_stopping ends the run after {stopping.patience or PATIENCE} epochs without a better"
        yield (*RATE, "patience"), f"{message} {rate.metric}, and this waits for {rate.patience}"


def _never_measured(experiment: Experiment) -> Contradictions:
    """What watches the validation of a split that has none; only built-in data can have no other validation split."""
    split = experiment.data.split
    if split is None or split.train is None or split.folds is not None or experiment.data.source != "digits":
        return
    if "validation" in split.amounts:
        return
    for where, watched in watching(experiment):
        if watched.metric.startswith("validation/"):
            message = f"{watched.metric} is never measured: data.split.validation is 0; watch train/loss"
            yield tuple(where.split(".")), message


def watching(experiment: Experiment) -> Iterator[tuple[str, EarlyStopping | Plateau]]:
    """What goes by a figure of the history, by the path of that setting."""
    stopping, rate = experiment.train.early_stopping, experiment.optimizer.learning_rate
    if stopping is not None:
        yield "train.early_stopping.metric", stopping
    if isinstance(rate, Plateau):
        yield "optimizer.learning_rate.metric", rate


def _never_comes(epoch: int, epochs: int) -> str:
    return f"epoch {epoch} never comes: train.epochs is {epochs}, counted from 0"
