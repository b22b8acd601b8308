"""Work on the device, timed in rounds of many steps: nobody waits for a step but at the end of a round."""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax

PRODUCT_SECONDS, LARGEST_SIDE = 0.005, 8192  # a shorter product would measure how it is started


@dataclass(frozen=True)
class Round:
    """`steps` calls in `seconds` from before the first to when the device is done; `data_seconds` of them went by
    on the host while it made the batches, during which the device may have been at work."""

    steps: int
    seconds: float
    data_seconds: float


Work = Callable[[int], tuple[Any, float]]
"""Does so many steps; gives arrays that are ready when all of them are, and the seconds that went by on batches."""


def each(batches: Iterator[Any], call: Callable[[Any], Any]) -> Work:
    """A step of work is a call with the next batch."""

    def work(steps: int) -> tuple[Any, float]:
        data_seconds, result = 0.0, None
        for _ in range(steps):
            before = time.perf_counter()
            batch = next(batches)
            data_seconds += time.perf_counter() - before
            result = call(batch)
        return result, data_seconds

    return work


@dataclass(frozen=True)
class Timed:
    """The rounds of one kind of work, in which a step takes `images` images.

    They are an epoch's over its steps: what fills up the last batch takes time and counts as nothing.
    """

    rounds: tuple[Round, ...]
    images: float

    def milliseconds(self) -> dict[str, float]:
        """Of one step: median, min and max over the rounds."""
        return _spread([1000 * one.seconds / one.steps for one in self.rounds])

    def images_per_second(self) -> dict[str, float]:
        """Median, min and max over the rounds."""
        return _spread([self.images * one.steps / one.seconds for one in self.rounds])

    @property
    def data_share(self) -> float:
        """The part of the time, 0 to 1, in which the host made batches."""
        return sum(one.data_seconds for one in self.rounds) / sum(one.seconds for one in self.rounds)


def products(precision: str) -> tuple[Work, int]:
    """Products of two square matrices, large enough to keep the machine busy, and their number of rows.

    float32 is as the device takes it unless told otherwise, as in the network: on a GPU that may be TF32.
    """
    product = jax.jit(lambda a, b: a @ b)
    side = 256
    while True:
        side *= 2
        # Entries of deviation side**-0.5 make products of the same size again, and no numbers of a special kind.
        keys = jax.random.split(jax.random.key(0))
        a, b = (jax.random.normal(key, (side, side), precision) * side**-0.5 for key in keys)
        work = each(itertools.repeat((a, b)), lambda pair: product(*pair))
        timed_round(work, 1)
        if timed_round(work, 1).seconds >= PRODUCT_SECONDS or side >= LARGEST_SIDE:
            return work, side


def steps_in(work: Work, seconds: float) -> int:
    """Warm up, and find how many steps make a round of about `seconds`."""
    steps = 1
    while True:
        found = timed_round(work, steps)
        if found.seconds >= seconds / 4:
            return max(1, round(steps * seconds / found.seconds))
        steps *= 2


def timed_round(work: Work, steps: int) -> Round:
    """Runs `steps` steps. Nobody waits for the device before the last of them, which it finishes last."""
    started = time.perf_counter()
    result, data_seconds = work(steps)
    jax.block_until_ready(result)
    return Round(steps, time.perf_counter() - started, data_seconds)


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
