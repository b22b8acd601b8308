"""Examples that are there twice, exactly or nearly: in two splits, with two labels, or for nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from cnnlab.data.check.findings import Finding
from cnnlab.data.check.measures import Measures
from cnnlab.data.check.near import near_pairs
from cnnlab.data.dataset import Dataset


@dataclass(frozen=True)
class Leak:
    """Of the `examples` of a split: how many are also in an earlier one, and how many more only look like one there."""

    split: str
    earlier: str
    examples: int
    identical: int
    near: int


class Duplicates:
    """The pairs of a dataset (later, earlier) in the order of training, validation, test.

    y: labels as numbers, equal where all there is to learn is; split: [example] the place of its split in `names`.
    """

    def __init__(self, dataset: Dataset, splits: Mapping[str, np.ndarray], measures: Measures):
        self.dataset, self.names = dataset, tuple(splits)
        self.split = np.full(len(dataset.y), -1)
        for k, indices in enumerate(splits.values()):
            self.split[indices] = k
        self.order = np.lexsort((np.arange(len(dataset.y)), self.split))
        self.rank = np.argsort(self.order)
        self.label = _labels(dataset)
        self.digests = measures.digests.tolist()
        self.near, self.complete = near_pairs(measures, np.stack([self.split, self.label], 1), self.rank)

    def exact(self) -> Iterator[Finding]:
        """A finding for each example that is identical to an earlier one, with the worst that is to be said of it."""
        firsts: dict[bytes, list[int]] = {}  # the first of each split and of each label
        for i in self.order.tolist():
            earlier = firsts.setdefault(self.digests[i], [])
            if earlier:
                other = min(earlier, key=lambda j: (*self._preference(i, j), self.rank[j]))
                yield self._finding(i, other, near=False)
            if all(self.split[j] != self.split[i] or self.label[j] != self.label[i] for j in earlier):
                earlier.append(i)

    def alike(self) -> Iterator[Finding]:
        """A finding for each example that looks like an earlier one and is not identical to it."""
        best: dict[int, int] = {}
        for i, j in self.near.tolist():
            if i not in best or self._preference(i, j) < self._preference(i, best[i]):
                best[i] = j
        for i in sorted(best, key=self.rank.__getitem__):
            yield self._finding(i, best[i], near=True)

    def leaks(self) -> Iterator[Leak]:
        """For every two splits, those without any leak too."""
        for later, name in enumerate(self.names):
            members = np.flatnonzero(self.split == later).tolist()
            for earlier in range(later):
                known = {self.digests[j] for j in np.flatnonzero(self.split == earlier).tolist()}
                identical = {i for i in members if self.digests[i] in known}
                pairs = self.near[(self.split[self.near[:, 0]] == later) & (self.split[self.near[:, 1]] == earlier)]
                near = set(pairs[:, 0].tolist()) - identical
                yield Leak(name, self.names[earlier], len(members), len(identical), len(near))

    def _preference(self, i: int, j: int) -> tuple[bool, bool]:
        """Small where much is wrong with the pair: labels that conflict before leaks."""
        return bool(self.label[i] == self.label[j]), bool(self.split[i] == self.split[j])

    def _finding(self, i: int, j: int, *, near: bool) -> Finding:
        same_label, same_split = self._preference(i, j)
        kind = "conflicting_labels" if not same_label else "duplicate" if same_split else "leak"
        verb, places = ("looks like" if near else "is"), [self.names[self.split[k]] for k in (i, j)]
        labels = [self._class(k) for k in (i, j)]
        words = "" if same_split else f", here in {places[0]} and there in {places[1]}"
        if not same_label:
            words += f", here '{labels[0]}' and there '{labels[1]}'" if labels[0] != labels[1] else ", of other targets"
        names = [self.dataset.name(k) for k in (i, j)]
        what = f"{verb} {names[1]}{words}"
        return Finding(f"near_{kind}" if near else kind, names[0], names[1], places[0], labels[0], what)

    def _class(self, i: int) -> str:
        classes = self.dataset.classes
        return classes[self.dataset.y[i]] if classes else ""


def _labels(dataset: Dataset) -> np.ndarray:
    """A number for each example [example], the same for all of which the same is to be learnt."""
    known: dict[tuple[bytes, ...], int] = {}
    targets = [dataset.y, *(target.values for target in dataset.targets.values())]
    keys = (tuple(np.asarray(values[i]).tobytes() for values in targets) for i in range(len(dataset.y)))
    return np.array([known.setdefault(key, len(known)) for key in keys])
