"""How many examples of each class each split gets: whole numbers as near to the shares as there are."""

from collections import deque
from itertools import pairwise

import numpy as np


def quotas(counts: np.ndarray, shares: np.ndarray, *, totals_first: bool = False) -> np.ndarray:
    """How many examples [class, split] of each class, of which there are `counts`, each split gets.

    Every entry is its share of the class rounded down or up, rows add up to the class, columns to the shares
    of all examples by largest remainders; only that a class has at least one training example (the first column)
    comes first. With `totals_first` the columns add up all the same, and where that needs it, classes are further
    from their shares.
    """
    exact = counts[:, None] * shares
    low = np.floor(exact + 1e-9).astype(np.int64)
    low[:, 0] = np.maximum(low[:, 0], 1)
    high = np.maximum(np.ceil(exact - 1e-9).astype(np.int64), low)
    totals = _largest_remainders(counts.sum() * shares)
    found = low.copy()
    for row, most, want, count in zip(found, high, exact, counts, strict=True):
        while row.sum() < count:
            row[np.argmax(np.where(row < most, want - row, -np.inf))] += 1
    _move(found, exact, low, high, totals)
    if totals_first:
        free = np.zeros_like(low)
        free[:, 0] = 1
        _move(found, exact, free, np.broadcast_to(counts[:, None], low.shape), totals)
    return found


def _move(found: np.ndarray, exact: np.ndarray, low: np.ndarray, high: np.ndarray, totals: np.ndarray) -> None:
    """Moves single examples along chains of columns, which ends at the totals if they can be had within the bounds:
    this is a flow with whole bounds, and one that is not the largest has such a chain (Ford and Fulkerson 1956)."""
    while (chain := _chain(found, low, high, totals)) is not None:
        for source, target in pairwise(chain):
            movable = (found[:, source] > low[:, source]) & (found[:, target] < high[:, target])
            gain = (found - exact)[:, source] - (found - exact)[:, target]
            row = np.argmax(np.where(movable, gain, -np.inf))
            found[row, source] -= 1
            found[row, target] += 1


def fold_quotas(counts: np.ndarray, folds: int) -> np.ndarray:
    """How many examples [class, fold] each fold gets: of each class, and in all, the same but for one.

    Class after class is dealt out like cards, each where the one before has ended.
    """
    ends = np.cumsum(counts)[:, None]

    def dealt(cards: np.ndarray) -> np.ndarray:
        """How many of the first `cards` each fold has: those that leave its number over."""
        return -((np.arange(folds) - cards) // folds)

    return dealt(ends) - dealt(ends - counts[:, None])


def _chain(found: np.ndarray, low: np.ndarray, high: np.ndarray, totals: np.ndarray) -> list[int] | None:
    """The columns of a shortest chain of moves from one with too many examples to one with too few, or None."""
    excess = found.sum(0) - totals
    for start in np.flatnonzero(excess > 0).tolist():
        came, waiting = {start: start}, deque([start])
        while waiting:
            here = waiting.popleft()
            if excess[here] < 0:
                chain = [here]
                while chain[-1] != start:
                    chain.append(came[chain[-1]])
                return chain[::-1]
            for there in range(len(totals)):
                if there not in came and ((found[:, here] > low[:, here]) & (found[:, there] < high[:, there])).any():
                    came[there] = here
                    waiting.append(there)
    return None


def _largest_remainders(exact: np.ndarray) -> np.ndarray:
    """Whole numbers with the same sum: rounded down, and the largest fractions up."""
    whole = np.floor(exact + 1e-9).astype(np.int64)
    up = np.argsort(whole - exact, kind="stable")[: round(exact.sum()) - whole.sum()]
    whole[up] += 1
    return whole
