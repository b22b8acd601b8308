"""Drawing splits and folds: by a seed, each class alike, with what belongs together in one place."""

from collections.abc import Callable
from functools import partial

import numpy as np

from cnnlab.data.dataset import Dataset
from cnnlab.data.groups import deal, together
from cnnlab.data.quotas import fold_quotas, quotas

FOLDS = 1  # what is drawn after the splits has random numbers of its own
Quotas = Callable[[np.ndarray], np.ndarray]


def draw(dataset: Dataset, pool: np.ndarray, shares: list[float], seed: int, *, stratify: bool) -> list[np.ndarray]:
    """The pool's indices in parts of these shares, each part sorted; the first is for training, whatever the shares:
    each class has an example there."""
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
    return _parts(dataset, pool, partial(quotas, shares=np.array(shares)), random, stratify=stratify, train_first=True)


def draw_folds(dataset: Dataset, pool: np.ndarray, folds: int, seed: int, *, stratify: bool) -> list[np.ndarray]:
    """The pool's indices in so many parts of one size, each sorted."""
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, FOLDS])))
    return _parts(dataset, pool, partial(fold_quotas, folds=folds), random, stratify=stratify, train_first=False)


def _parts(
    dataset: Dataset,
    pool: np.ndarray,
    wanted: Quotas,
    random: np.random.Generator,
    *,
    stratify: bool,
    train_first: bool,
) -> list[np.ndarray]:
    labels = dataset.targets["labels"].values if stratify and "labels" in dataset.targets else None
    classes = dataset.y if stratify else np.zeros_like(dataset.y)
    if dataset.groups is None and labels is None:
        parts = _by_class(_identical(dataset, pool), classes, wanted, random, train_first=train_first)
    else:
        sets = _identical(dataset, pool) if dataset.groups is None else together(dataset.groups, dataset.digests, pool)
        of_class = np.eye(classes.max(initial=0) + 1, dtype=np.int64)[classes]
        members = of_class if labels is None else np.concatenate([of_class, labels.astype(np.int64)], 1)
        parts = _by_set(sets, members, wanted, random, train_first=train_first)
    return [np.array(sorted(part), np.int64) for part in parts]


def _identical(dataset: Dataset, pool: np.ndarray) -> list[list[int]]:
    """The pool's indices in sets of examples that are the same."""
    sets: dict[bytes, list[int]] = {}
    for i in pool.tolist():
        sets.setdefault(dataset.digests[i], []).append(i)
    return list(sets.values())


def _by_class(
    sets: list[list[int]], classes: np.ndarray, wanted: Quotas, random: np.random.Generator, *, train_first: bool
) -> list[list[int]]:
    """Sets of one class, as that of their first example."""
    by_class: dict[int, list[list[int]]] = {}
    for members in sets:
        by_class.setdefault(int(classes[members[0]]), []).append(members)
    groups = [by_class[label] for label in sorted(by_class)]
    places = wanted(np.array([sum(map(len, group)) for group in groups], np.int64))
    open_places = places.sum(0)
    parts: list[list[int]] = [[] for _ in open_places]
    for group, quota in zip(groups, places, strict=True):
        order = [group[i] for i in random.permutation(len(group))]
        _deal(sorted(order, key=len, reverse=True), quota, open_places, parts, train_first=train_first)
    return parts


def _deal(
    sets: list[list[int]], quota: np.ndarray, open_places: np.ndarray, parts: list[list[int]], *, train_first: bool
) -> None:
    """Puts one class's sets, the largest first, where most places are left; changes the two before the last.

    With `train_first` the smallest goes to the first part whatever the places: no class is without a training example.
    """
    left = quota.copy()
    smallest = [(0, sets.pop())] if train_first else []
    for fixed, members in [*smallest, *((None, members) for members in sets)]:
        part = fixed if fixed is not None else max(range(len(left)), key=lambda i: (left[i], open_places[i]))
        parts[part] += members
        left[part] -= len(members)
        open_places[part] -= len(members)


def _by_set(
    sets: list[list[int]], members: np.ndarray, wanted: Quotas, random: np.random.Generator, *, train_first: bool
) -> list[list[int]]:
    """Sets of several classes, of which the examples have any: members [example, class], 0 and 1."""
    counts = np.array([members[examples].sum(0) for examples in sets])
    counts = counts[:, counts.any(0)]
    places = wanted(counts.sum(0))
    chosen = deal(counts, places, random, train_first=train_first)
    return [
        [i for examples, part in zip(sets, chosen, strict=True) if part == k for i in examples]
        for k in range(places.shape[1])
    ]
