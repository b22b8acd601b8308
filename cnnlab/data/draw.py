"""Drawing splits and folds: by a seed, each class alike, with what belongs together in one place."""

from collections.abc import Callable
from functools import partial

import numpy as np

from cnnlab.data.dataset import Dataset
from cnnlab.data.groups import deal, together
from cnnlab.data.quotas import fold_quotas, quotas

FOLDS = 1  # what is drawn after the splits has random numbers of its own
Quotas = Callable[[np.ndarray], np.ndarray]


def draw(
    dataset: Dataset, pool: np.ndarray, shares: list[float], seed: int, *, stratify: bool, totals_first: bool
) -> list[np.ndarray]:
    """The pool's indices in parts of these shares, each part sorted; the first is for training, whatever the shares:
    each class has an example there. See `quotas` for `totals_first`."""
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
    wanted = partial(quotas, shares=np.array(shares), totals_first=totals_first)
    return _parts(dataset, pool, wanted, random, stratify=stratify, train_first=True)


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
    if dataset.groups is not None:
        sets = together(dataset.groups, dataset.digests, pool)
        parts = _by_group(sets, _members(classes, labels), wanted, random, train_first=train_first)
    elif labels is not None:
        parts = _by_labels(_identical(dataset, pool), _members(classes, labels), wanted, random)
    else:
        parts = _by_class(_identical(dataset, pool), classes, wanted, random, train_first=train_first)
    return [np.array(sorted(part), np.int64) for part in parts]


def _members(classes: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """uint8 [example, class], 1 where an example is of the class or, behind the classes, has the label."""
    of_class = (classes[:, None] == np.unique(classes)).astype(np.uint8)
    return of_class if labels is None else np.concatenate([of_class, labels], 1)


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


def _by_group(
    sets: list[list[int]], members: np.ndarray, wanted: Quotas, random: np.random.Generator, *, train_first: bool
) -> list[list[int]]:
    """Sets of examples of several classes: members [example, class], 0 and 1."""
    counts = _counts(sets, members)
    places = wanted(counts.sum(0))
    return _gathered(sets, deal(counts, places, random, train_first=train_first), places.shape[1])


def _by_labels(
    sets: list[list[int]], members: np.ndarray, wanted: Quotas, random: np.random.Generator
) -> list[list[int]]:
    """Sets whose examples may have several labels: members [example, label], 0 and 1.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011): the label that is left in the fewest sets comes
    next, and each of those goes where most of the label is wanted, among equals where most examples are.
    """
    counts = _counts(sets, np.concatenate([np.ones((len(members), 1), np.uint8), members], 1))
    left = wanted(counts.sum(0))
    chosen, parts = np.full(len(sets), -1), left.shape[1]
    order = random.permutation(len(sets))
    while len(waiting := order[chosen[order] < 0]):
        remaining = (counts[waiting] > 0).sum(0)
        label = int(np.where(remaining > 0, remaining, len(sets) + 1).argmin())
        for i in waiting[counts[waiting, label] > 0].tolist():
            chosen[i] = max(range(parts), key=lambda part: (left[label, part], left[0, part]))
            left[:, chosen[i]] -= counts[i]
    return _gathered(sets, chosen, parts)


def _counts(sets: list[list[int]], members: np.ndarray) -> np.ndarray:
    """How many examples of each set have each class, without the classes that none has."""
    counts = np.array([members[examples].sum(0, dtype=np.int64) for examples in sets])
    return counts[:, counts.any(0)]


def _gathered(sets: list[list[int]], chosen: np.ndarray, parts: int) -> list[list[int]]:
    return [
        [i for examples, part in zip(sets, chosen, strict=True) if part == k for i in examples] for k in range(parts)
    ]
