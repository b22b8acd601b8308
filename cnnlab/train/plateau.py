"""Reduce on plateau: the factor on the learning rate, moved on after every epoch, on the host."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jax import Array
from jax.typing import ArrayLike

from cnnlab.spec.schedules import Plateau
from cnnlab.spec.train import sign_of


class PlateauState(NamedTuple):
    """What a run carries of it: the factor so far, the best value, and how many epochs brought nothing better."""

    factor: Array | np.ndarray
    best: Array | np.ndarray
    waited: Array | np.ndarray


def unreduced() -> PlateauState:
    """Before the first epoch."""
    return _state(1.0, np.inf, 0)


def reduced(spec: Plateau, state: PlateauState, row: Mapping[str, float]) -> PlateauState:
    """After an epoch with this row of the history; the best value is kept as one of which less is better.

    With the `patience`-th epoch in a row that is not better by more than `min_delta` the factor falls, and the
    waiting begins anew.
    """
    value, factor, best, waited = (
        np.float32(sign_of(spec.metric) * row[spec.metric]),
        float(state.factor),
        state.best,
        state.waited,
    )
    if value < np.float32(best) - np.float32(spec.min_delta):
        return _state(factor, value, 0)
    if int(waited) + 1 < spec.patience:
        return _state(factor, best, int(waited) + 1)
    return _state(max(factor * spec.factor, spec.smallest / spec.peak), best, 0)


def _state(factor: ArrayLike, best: ArrayLike, waited: int) -> PlateauState:
    return PlateauState(np.array(factor, np.float32), np.array(best, np.float32), np.array(waited, np.int32))
