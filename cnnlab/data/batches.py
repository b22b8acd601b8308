"""Batches of one shape, each a function of (seed, epoch, number) alone: resuming needs no state."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from cnnlab.data.prepare import Prepared
from cnnlab.data.stored import Reading, reading
from cnnlab.data.threads import ahead

AHEAD = 2  # batches that are being read while one is worked on
ALL = (0, 1)  # the part of a batch that a process reads which trains alone

Targets = np.ndarray | Mapping[str, np.ndarray]
"""What there is to learn of each example: [example, ...], or several of that by their kinds, as in
`Dataset.targets`."""

Reader = Callable[[int, np.ndarray], Reading]
"""Begins to read the x of a batch, by its number and the places of its examples in the dataset."""


def taken(targets: Targets, rows: np.ndarray) -> Targets:
    """The targets of these rows: their places, or True for each that is wanted."""
    if isinstance(targets, Mapping):
        return {kind: values[rows] for kind, values in targets.items()}
    return targets[rows]


class Batch(NamedTuple):
    """x [batch, *spatial, channel], uint8 or float32, or a process's share of that; y [batch, ...], the target;
    mask [batch], bool, True for an example that counts, False for one that only fills up; index [batch], int32, the
    examples' places in the dataset."""

    x: np.ndarray
    y: Targets
    mask: np.ndarray
    index: np.ndarray  # pyright: ignore[reportIncompatibleMethodOverride]  (tuple.index is not needed)


@dataclass(frozen=True)
class Coming:
    """A batch whose examples are on their way."""

    reading: Reading
    y: Targets
    mask: np.ndarray
    index: np.ndarray

    def ready(self) -> bool:
        """Whether `result` would not wait."""
        return self.reading.ready()

    def result(self) -> Batch:
        """The batch, when it is there. Raises DataError where an example cannot be read."""
        return Batch(self.reading.result(), self.y, self.mask, self.index)

    def cancel(self) -> None:
        self.reading.cancel()


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Batches that `count` examples make, the last one filled up."""
    return -(-count // batch_size)


def order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The permutation of 0 .. count-1 in which an epoch goes through `count` examples, int64."""
    key = np.array([seed, epoch], np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).permutation(count)


def weighted_order(seed: int, epoch: int, labels: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """As many places in the training split, whose labels are given, as it has examples, int64: of each class its share.

    A share that is no whole number is rounded up or down at random, so that its mean over epochs is the share
    (systematic sampling, Madow 1949). A class goes round: no example comes a second time before all have come once.
    """
    random = np.random.Generator(np.random.Philox(key=np.array([seed, epoch], np.uint64)))
    drawable = np.flatnonzero(shares)
    ends = np.concatenate([[0], np.cumsum(shares[drawable]) * len(labels)])
    ends[-1] = len(labels)
    draws = np.diff(np.minimum(np.floor(ends + random.random()), len(labels)).astype(np.int64))
    drawn = []
    for label, count in zip(drawable.tolist(), draws.tolist(), strict=True):
        members = np.flatnonzero(labels == label)
        drawn += [np.tile(members, count // len(members)), random.permutation(members)[: count % len(members)]]
    return random.permutation(np.concatenate(drawn))


def epoch_order(prepared: Prepared, seed: int, epoch: int) -> np.ndarray:
    """The places in the training split in which an epoch goes through it: `order`, or `weighted_order`."""
    return orders(prepared, seed)(epoch)


def orders(prepared: Prepared, seed: int) -> Callable[[int], np.ndarray]:
    """`epoch_order` as a function of the epoch, which holds no more of the data than it needs."""
    train = prepared.splits["train"]
    if prepared.sampling is None:
        return partial(order, seed, count=len(train))
    return partial(weighted_order, seed, labels=prepared.dataset.y[train], shares=prepared.sampling)


def training_batch(
    prepared: Prepared, order: np.ndarray, i: int, batch_size: int, targets: Targets | None = None
) -> Batch:
    """The `i`-th batch of an epoch, always `batch_size` rows; its y out of `targets` [example, ...], or the classes.

    The last one is filled up with the first examples of the same order, mask False: batch normalisation sees
    real images, and the loss counts each example once.
    """
    y = prepared.dataset.y if targets is None else targets
    return _begin(_by_threads(prepared.dataset.x), y, prepared.splits["train"][order], i, batch_size).result()


def training_batches(
    prepared: Prepared,
    order: np.ndarray,
    first: int,
    batch_size: int,
    targets: Targets | None = None,
    part: tuple[int, int] = ALL,
    read: Reader | None = None,
) -> Iterator[Coming]:
    """The batches of an epoch from number `first` on, as `training_batch` makes them, the next ones on their way.

    Of x only one `part` of so many is read, see `share`: by `read`, or by threads. Closed or forgotten, it reads no
    more.
    """
    indices = prepared.splits["train"][order]
    y = prepared.dataset.y if targets is None else targets
    numbers = range(first, steps_per_epoch(len(indices), batch_size))
    by = read or _by_threads(prepared.dataset.x, part)
    return ahead(lambda i: _begin(by, y, indices, i, batch_size), numbers, AHEAD)


def epoch_places(prepared: Prepared, order: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Of all batches of an epoch, as `training_batch` makes them, index and mask: [step, batch], int32 and bool."""
    return _places(prepared.splits["train"][order], np.arange(steps_per_epoch(len(order), batch_size)), batch_size)


def evaluation_batches(
    prepared: Prepared, split: str, batch_size: int, targets: Targets | None = None, part: tuple[int, int] = ALL
) -> Iterator[Batch]:
    """All batches of a split in the order of its indices, the last one filled up and masked; as evaluation sees them,
    and the `targets` are to be too. Of x only one `part` of so many is read, see `share`."""
    indices, read = prepared.splits[split], _by_threads(prepared.seen, part)
    y = prepared.dataset.y if targets is None else targets
    numbers = range(steps_per_epoch(len(indices), batch_size))
    for coming in ahead(lambda i: _begin(read, y, indices, i, batch_size), numbers, AHEAD):
        yield coming.result()


def share(rows: np.ndarray, process: int, processes: int) -> np.ndarray:
    """Of index or mask [..., batch], the part that one of several processes reads: as many columns as the others.

    Joined in the processes' order they are the batch, however many there are. ValueError where they do not divide it.
    """
    batch = rows.shape[-1]
    if batch % processes:
        raise ValueError(f"{processes} processes do not divide a batch of {batch}")
    part = batch // processes
    return rows[..., process * part : (process + 1) * part]


def batch_index(indices: np.ndarray, i: int, batch_size: int) -> np.ndarray:
    """Of the `i`-th batch of those that `indices` make, the places of its examples in the dataset, int32 [batch]."""
    return _places(indices, np.array([i]), batch_size)[0][0]


def _by_threads(x: Any, part: tuple[int, int] = ALL) -> Reader:
    return lambda _, index: reading(x, share(index, *part))


def _begin(read: Reader, y: Targets, indices: np.ndarray, i: int, batch_size: int) -> Coming:
    (index,), (mask,) = _places(indices, np.array([i]), batch_size)
    return Coming(read(i, index), taken(y, index), mask, index)


def _places(indices: np.ndarray, batches: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Index and mask of these batches out of those that `indices` make."""
    places = batches[:, None] * batch_size + np.arange(batch_size)
    return np.take(indices, places, mode="wrap").astype(np.int32), places < len(indices)
