"""Splitting where examples belong together: a patient's images never fall on both sides."""

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cnnlab.data.dataset import Dataset
from cnnlab.errors import DataError, SpecError


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


def deal(
    counts: np.ndarray, quotas: np.ndarray, random: np.random.Generator, *, train_first: bool = True
) -> np.ndarray:
    """Which split [set] each set goes to, from its examples by class [set, class] and the quotas [class, split].

    The largest first, ties drawn: each goes where the squared distance of what is there to the quotas shrinks
    most (n·left, for |n|² is the same everywhere). Before, with `train_first`, each class gives training, split 0,
    its smallest set; at last a split that stayed empty is given the smallest set of the largest one.
    """
    order = random.permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    left, chosen = quotas.astype(np.int64), np.full(len(counts), -1)

    def put(i: int, split: int) -> None:
        chosen[i] = split
        left[:, split] -= counts[i]

    for label in range(counts.shape[1]) if train_first else ():
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


def grouped(dataset: Dataset, pattern: str) -> Dataset:
    """The dataset with groups by what the pattern's one group finds in each file's name, its folders left out.

    Raises SpecError where examples are not files, DataError where a name does not match, or where the source's own
    splits tear a group.
    """
    where = "data.split.group"
    if dataset.files is None:
        message = "the examples are not files, and a group is told by a file's name"
        raise SpecError(message, where=where, hint="leave it out")
    found = [re.search(pattern, name.rpartition("/")[2]) for name in dataset.files]
    strange = [name for name, match in zip(dataset.files, found, strict=True) if match is None or match[1] is None]
    if strange:
        message = f"'{pattern}' finds no group in {strange[0]}"
        raise DataError(message, where=where, hint=f"names in which it finds none: {len(strange):,} of {len(found):,}")
    groups = tuple(match[1] for match in found if match is not None)
    check_given(groups, dataset.given, where)
    return replace(dataset, groups=groups)
