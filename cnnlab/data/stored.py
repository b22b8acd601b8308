"""Examples that stay in files: an array to those who ask for its shape and for some of its rows."""

from collections.abc import Callable
from concurrent.futures import Future
from math import prod
from typing import Any, Protocol

import numpy as np

from cnnlab.data.memory import processors
from cnnlab.data.survey import Survey
from cnnlab.data.threads import pool

PARTS = 4  # of what is read at once, for each thread: so that none waits long for the others


class Source(Protocol):
    """Where images are read from, again and again, from several threads: their files, or a cache."""

    @property
    def shape(self) -> tuple[int, int, int]: ...

    def read_again(self, i: int) -> np.ndarray: ...


class StoredImages:
    """uint8 [example, height, width, channel], of which no more is in memory than was asked for.

    survey: of these examples. places: theirs in the source, default: all of it. window: the part of each that counts.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self, source: Source, survey: Survey, places: np.ndarray | None = None, window: tuple[slice, ...] = ()
    ):
        self.source, self.survey, self.window = source, survey, window
        self.places = np.arange(len(survey.digests)) if places is None else places
        sides = zip(window, source.shape, strict=False)
        cut = tuple(len(range(*part.indices(side))) for part, side in sides)
        self.shape = (len(self.places), *cut, *source.shape[len(cut) :])

    def __len__(self) -> int:
        return len(self.places)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """What all of them would take in memory."""
        return prod(self.shape)

    def take(self, kept: np.ndarray) -> "StoredImages":
        """These examples alone. Nothing is read."""
        return StoredImages(self.source, self.survey.take(kept), self.places[kept], self.window)

    def bare(self) -> "StoredImages":
        """The same images without what was found when they were looked at: all that it takes to read them."""
        return StoredImages(self.source, self.survey.take(np.arange(0)), self.places, self.window)

    def part(self, window: tuple[slice, ...]) -> "StoredImages":
        """The same part of every example, as x[:, *window] of an array that has no window yet. Nothing is read, and
        the survey stays that of the whole."""
        return StoredImages(self.source, self.survey, self.places, window)

    def read(self, place: int) -> np.ndarray:
        """The example at this place of the source."""
        return self.source.read_again(place)[self.window]

    def __getitem__(self, index: Any) -> np.ndarray:
        """As of an array: an example by its number; by a slice or an array of numbers the examples, read on threads."""
        places = self.places[index]
        return self.read(int(places)) if places.ndim == 0 else reading(self, index).result()


class Reading:
    """Rows of an array that are on their way."""

    def __init__(self, rows: Callable[[], np.ndarray], futures: list[Future[Any]]):
        self._rows, self._futures = rows, futures

    def ready(self) -> bool:
        """Whether `result` would not wait."""
        return all(future.done() for future in self._futures)

    def result(self) -> np.ndarray:
        """The rows, when all are there. Raises the first row's error, in their order."""
        for future in self._futures:
            future.result()
        return self._rows()

    def cancel(self) -> None:
        """What has not begun is not done."""
        for future in self._futures:
            future.cancel()


def reading(x: "np.ndarray | StoredImages", index: Any) -> Reading:
    """Begins to read `x[index]`: an array, which may be mapped from a file, at once, images a few at a time, since to
    hand a small one over to a thread takes longer than to read it."""
    if isinstance(x, np.ndarray):
        whole = pool().submit(x.__getitem__, index)
        return Reading(whole.result, [whole])
    places = x.places[index]
    rows = np.empty((len(places), *x.shape[1:]), np.uint8)

    def read(few: range) -> None:
        for row in few:
            rows[row] = x.read(int(places[row]))

    all_rows, several = range(len(places)), max(1, len(places) // (PARTS * processors()))
    parts = [all_rows[start : start + several] for start in all_rows[::several]]
    return Reading(lambda: rows, [pool().submit(read, few) for few in parts])
