"""Which epoch was the best, and when to stop: from the history alone, so that a resumed run decides alike."""

import math
from collections.abc import Sequence

from cnnlab.spec.train import PATIENCE, EarlyStopping, Train

ERRORS = "train/errors"  # in an epoch of the perceptron's rule


def watched(train: Train, *, has_validation: bool) -> EarlyStopping:
    """What decides the best epoch: the early stopping's metric, else the validation loss, else the training loss."""
    if train.early_stopping is not None:
        patience = train.early_stopping.patience or min(PATIENCE, train.epochs)
        return train.early_stopping.model_copy(update={"patience": patience})
    return EarlyStopping(metric="validation/loss" if has_validation else "train/loss", patience=train.epochs)


def best_epoch(history: Sequence[dict[str, float]], stopping: EarlyStopping) -> int | None:
    """Index of the last epoch that was better than all before it by more than `min_delta`.

    A figure that is not defined, NaN, is no better than any; None where no epoch has another.
    """
    best = None
    for i, row in enumerate(history):
        value = stopping.sign * row[stopping.metric]
        if math.isnan(value):
            continue
        if best is None or value < stopping.sign * history[best][stopping.metric] - stopping.min_delta:
            best = i
    return best


def is_over(history: Sequence[dict[str, float]], stopping: EarlyStopping) -> bool:
    """True when training ends before its last epoch: nothing gets better, or the perceptron has made no error."""
    return exhausted(history, stopping) or (bool(history) and history[-1].get(ERRORS) == 0)


def ending(history: Sequence[dict[str, float]], stopping: EarlyStopping, epochs: int) -> str | None:
    """Why training of up to so many epochs has ended; None where it is as it was to be."""
    if history and ERRORS in history[-1]:
        total = f"{sum(int(row[ERRORS]) for row in history):,} errors in all"
        if history[-1][ERRORS] == 0:
            return f"converged after epoch {len(history)}, {total}"
        return f"not converged: {int(history[-1][ERRORS]):,} errors in epoch {len(history)}, the last one, {total}"
    return None if len(history) == epochs else f"early stopping on {stopping.metric}"


def exhausted(history: Sequence[dict[str, float]], stopping: EarlyStopping) -> bool:
    """True when the last `patience` epochs have brought nothing better; without a patience, never."""
    best = best_epoch(history, stopping)
    since = len(history) if best is None else len(history) - 1 - best
    return stopping.patience is not None and bool(history) and since >= stopping.patience
