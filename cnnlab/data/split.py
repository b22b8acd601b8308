"""Which examples train, which validate, which test: stratified by class, seeded, disjoint."""

from collections.abc import Mapping

import numpy as np

from cnnlab.data.dataset import Dataset
from cnnlab.data.groups import deal, together
from cnnlab.errors import DataError, SpecError
from cnnlab.spec.split import Split

NAMES = ("train", "validation", "test")
DEFAULT = {"train": 0.7, "validation": 0.15, "test": 0.15}
WHERE = "data.split"


def split(dataset: Dataset, spec: Split | None, seed: int) -> dict[str, np.ndarray]:
    """Sorted int64 indices of "train", "validation" and "test", disjoint; a split without examples is absent.

    Splits that the source has itself stay as they are; `spec`'s shares (default 0.7, 0.15, 0.15, or 0.85 and
    0.15 where the source has its test split) divide the rest, each class alike, by `seed` or the spec's own.
    Identical examples go into one split together, as the class of the first of them; so do those of one group,
    then the shares are only met as nearly as whole groups allow.
    Raises SpecError where spec and source contradict each other, DataError where a split would be empty
    or a class without a training example.
    """
    given = {name: np.sort(np.asarray(dataset.given[name], np.int64)) for name in NAMES if name in dataset.given}
    shares = _shares(spec, given)
    held = {name: indices for name, indices in given.items() if name != "train"}
    pool = given["train"] if "train" in given else np.setdiff1d(range(len(dataset.y)), _joined(held))
    if spec is not None and spec.seed is not None:
        seed = spec.seed
    splits = {**(_divide(dataset, pool, shares, seed) if len(shares) > 1 else {"train": pool}), **held}
    for name, indices in splits.items():
        if len(indices) == 0:
            share = f": {shares[name]:g} of {len(pool):,} examples" if name in shares else ""
            hint = "add examples, or change the shares in data.split"
            raise DataError(f"the {name} split is empty{share}", where=WHERE, hint=hint)
    _check_trained(dataset, splits)
    return {name: splits[name] for name in NAMES if name in splits}


def default_split(dataset: Dataset) -> Split | None:
    """The shares that hold where a spec gives none, None where the source leaves nothing to divide."""
    shares = _shares(None, dataset.given)
    if len(shares) == 1:
        return None
    return Split(train=shares["train"], validation=shares["validation"], test=shares.get("test", 0.0))


def _joined(splits: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.int64), *splits.values()])


def _shares(spec: Split | None, given: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The positive shares, train first, of the examples that are in no validation or test split yet."""
    own = [name for name in ("validation", "test") if name in given]
    if spec is None:
        return {(): DEFAULT, ("test",): {"train": 0.85, "validation": 0.15}}.get(tuple(own), {"train": 1.0})
    shares = {"train": spec.train, "validation": spec.validation, "test": spec.test}
    if len(own) == 2:
        message = "the source has validation and test splits of its own"
        raise SpecError(message, where=WHERE, hint="leave data.split out")
    for name in own:
        if shares[name] > 0:
            message = f"{name} is {shares[name]:g}, and the source has {len(given[name]):,} {name} examples of its own"
            hint = f"leave {name} out; the other shares divide the rest"
            raise SpecError(message, where=WHERE, hint=hint)
    return {name: share for name, share in shares.items() if share > 0}


def _divide(dataset: Dataset, pool: np.ndarray, shares: dict[str, float], seed: int) -> dict[str, np.ndarray]:
    """The pool's indices, sorted, by split."""
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
    if dataset.groups is not None:
        return _divide_groups(dataset, dataset.groups, pool, shares, random)
    groups: dict[bytes, list[int]] = {}
    for i in pool.tolist():
        groups.setdefault(dataset.digests[i], []).append(i)
    by_class: dict[int, list[list[int]]] = {}
    for members in groups.values():
        by_class.setdefault(int(dataset.y[members[0]]), []).append(members)
    classes = [by_class[label] for label in sorted(by_class)]
    quotas = _quotas(np.array([sum(map(len, group)) for group in classes]), np.array(list(shares.values())))
    open_places = quotas.sum(0)
    parts: list[list[int]] = [[] for _ in shares]
    for group, quota in zip(classes, quotas, strict=True):
        order = [group[i] for i in random.permutation(len(group))]
        _deal(sorted(order, key=len, reverse=True), quota, open_places, parts)
    return {name: np.array(sorted(part), np.int64) for name, part in zip(shares, parts, strict=True)}


def _divide_groups(
    dataset: Dataset, groups: tuple[str, ...], pool: np.ndarray, shares: dict[str, float], random: np.random.Generator
) -> dict[str, np.ndarray]:
    sets = together(groups, dataset.digests, pool)
    counts = np.array([np.bincount(dataset.y[members], minlength=len(dataset.classes)) for members in sets])
    counts = counts[:, counts.any(0)]
    chosen = deal(counts, _quotas(counts.sum(0), np.array(list(shares.values()))), random)
    parts = [[i for members, part in zip(sets, chosen, strict=True) if part == k for i in members] for k in range(3)]
    return {name: np.array(sorted(part), np.int64) for name, part in zip(shares, parts, strict=False)}


def _deal(groups: list[list[int]], quota: np.ndarray, open_places: np.ndarray, parts: list[list[int]]) -> None:
    """Puts one class's groups, the largest first, where most places are left; changes the last two arguments."""
    left = quota.copy()
    smallest = groups.pop()  # goes to train whatever the places: no class is without a training example
    for part, members in [(0, smallest), *((None, members) for members in groups)]:
        if part is None:
            part = max(range(len(left)), key=lambda i: (left[i], open_places[i]))
        parts[part] += members
        left[part] -= len(members)
        open_places[part] -= len(members)


def _quotas(counts: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """How many examples [class, split] of each class each split gets.

    Every entry is its share of the class rounded down or up, rows add up to the class, columns to the shares
    of all examples by largest remainders; only that a class has at least one training example comes first.
    """
    exact = counts[:, None] * shares
    low = np.floor(exact + 1e-9).astype(np.int64)
    low[:, 0] = np.maximum(low[:, 0], 1)
    high = np.maximum(np.ceil(exact - 1e-9).astype(np.int64), low)
    totals = _largest_remainders(counts.sum() * shares)
    quotas = low.copy()
    for row, most, want, count in zip(quotas, high, exact, counts, strict=True):
        while row.sum() < count:
            row[np.argmax(np.where(row < most, want - row, -np.inf))] += 1
    # Moving single examples between columns ends at the totals: with three columns some chain of moves within
    # the bounds leads from a column that has too many to one that has too few (a cut between the two would have
    # a column, or the two others, a whole example off its exact sum, which largest remainders never are).
    while (chain := _chain(quotas, low, high, totals)) is not None:
        for source, target in chain:
            movable = (quotas[:, source] > low[:, source]) & (quotas[:, target] < high[:, target])
            gain = (quotas - exact)[:, source] - (quotas - exact)[:, target]
            row = np.argmax(np.where(movable, gain, -np.inf))
            quotas[row, source] -= 1
            quotas[row, target] += 1
    return quotas


def _chain(quotas, low, high, totals) -> list[tuple[int, int]] | None:
    """Moves (from column, to column) that bring the columns nearer to the totals, or None."""
    columns = range(len(totals))
    excess = quotas.sum(0) - totals

    def possible(a: int, b: int) -> bool:
        return bool(((quotas[:, a] > low[:, a]) & (quotas[:, b] < high[:, b])).any())

    for a in (column for column in columns if excess[column] > 0):
        for b in (column for column in columns if excess[column] < 0):
            if possible(a, b):
                return [(a, b)]
            for c in columns:
                if c not in (a, b) and possible(a, c) and possible(c, b):
                    return [(a, c), (c, b)]
    return None


def _largest_remainders(exact: np.ndarray) -> np.ndarray:
    """Whole numbers with the same sum: rounded down, and the largest fractions up."""
    whole = np.floor(exact + 1e-9).astype(np.int64)
    up = np.argsort(whole - exact, kind="stable")[: round(exact.sum()) - whole.sum()]
    whole[up] += 1
    return whole


def _check_trained(dataset: Dataset, splits: Mapping[str, np.ndarray]) -> None:
    trained = dataset.y[splits["train"]]
    for name, indices in splits.items():
        strange = indices[~np.isin(dataset.y[indices], trained)]
        if len(strange):
            label = dataset.classes[dataset.y[strange[0]]]
            message = f"the class '{label}' has no training example, and {dataset.name(strange[0])} is in {name}"
            raise DataError(message, where=WHERE, hint="what was never trained cannot be recognised")


def duplicates_across(dataset: Dataset, splits: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Notes on examples that are identical and should not be: in two splits, or with different labels."""
    notes = []
    names = [name for name in NAMES if name in splits]
    for k, second in enumerate(names):
        for first in names[:k]:
            known = {dataset.digests[i]: i for i in splits[first].tolist()}
            twice = [i for i in splits[second].tolist() if dataset.digests[i] in known]
            if twice:
                pair = f"{dataset.name(twice[0])} is {dataset.name(known[dataset.digests[twice[0]]])}"
                share = f"{len(twice):,} of the {len(splits[second]):,} {second} examples"
                notes.append(f"{share} are in {first} too, for example {pair}: {second} figures are too good")
    leaders: dict[bytes, int] = {}
    pairs = [(i, leaders.setdefault(digest, i)) for i, digest in enumerate(dataset.digests)]
    torn = [(i, leader) for i, leader in pairs if dataset.y[i] != dataset.y[leader]]
    if torn:
        words = " and ".join(f"{dataset.name(i)} ('{dataset.classes[dataset.y[i]]}')" for i in reversed(torn[0]))
        notes.append(f"{len(torn):,} examples carry another label than an identical one, for example {words}")
    return tuple(notes)


def classes_missing(dataset: Dataset, splits: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Notes on classes with training examples and none in a split that measures."""
    trained = np.unique(dataset.y[splits["train"]])
    notes = []
    for name in ("validation", "test"):
        if name in splits:
            missing = np.setdiff1d(trained, dataset.y[splits[name]]).tolist()
            words = ", ".join(dataset.classes[i] for i in missing[:5]) + (", ..." if len(missing) > 5 else "")
            notes += [f"{len(missing)} classes have no {name} example: {words}"] if missing else []
    return tuple(notes)
