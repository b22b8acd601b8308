"""Splitting where examples belong together: a patient's images never fall on both sides."""

from collections.abc import Mapping

import numpy as np

from cnnlab.errors import DataError


def together(groups: tuple[str, ...], digests: tuple[bytes, ...], pool: np.ndarray) -> list[list[int]]:
    """The pool's indices in sets that share a group or, by a chain of such, are identical; in order of their first."""
    leader: dict[str | bytes, str | bytes] = {}

    def find(key: str | bytes) -> str | bytes:
        while leader.setdefault(key, key) != key:
            leader[key] = key = leader[leader[key]]
        return key

    for i in pool.tolist():
        leader[find(digests[i])] = find(groups[i])
    sets: dict[str | bytes, list[int]] = {}
    for i in pool.tolist():
        sets.setdefault(find(groups[i]), []).append(i)
    return list(sets.values())


def deal(counts: np.ndarray, quotas: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Which split [set] each set goes to, from its examples by class [set, class] and the quotas [class, split].

    The largest first, ties drawn: each goes where the squared distance of what is there to the quotas shrinks
    most (n·left, for |n|² is the same everywhere). Before, each class gives training, split 0, its smallest set;
    at last a split that stayed empty is given the smallest set of the largest one.
    """
    order = random.permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    left, chosen = quotas.astype(np.int64), np.full(len(counts), -1)

    def put(i: int, split: int) -> None:
        chosen[i] = split
        left[:, split] -= counts[i]

    for label in range(counts.shape[1]):
        having = [int(i) for i in order if counts[i, label]]
        if having and not any(chosen[i] == 0 for i in having):
            put(having[-1], 0)
    for i in order.tolist():
        if chosen[i] < 0:
            put(i, int(np.argmax(counts[i] @ left)))
    for split in range(quotas.shape[1]):
        sets = np.bincount(chosen, minlength=quotas.shape[1])
        giver = int(np.argmax(np.where(sets > 1, sets, 0)))
        if sets[split] == 0 and sets[giver] > 1:
            put(next(int(i) for i in reversed(order) if chosen[i] == giver), split)
    return chosen


def check_given(groups: tuple[str, ...], given: Mapping[str, np.ndarray], where: str) -> None:
    """DataError where a group's examples are in two of the source's own splits."""
    place: dict[str, str] = {}
    for split, indices in given.items():
        for i in indices.tolist():
            if place.setdefault(groups[i], split) != split:
                message = f"the group '{groups[i]}' has examples in {place[groups[i]]} and in {split}"
                raise DataError(message, where=where, hint="a group belongs into one split")
