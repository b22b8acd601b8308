"""How examples come to the steps: from the device, where all of them lie, or batch by batch from the host."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnnlab.data.batches import Batch, Coming, epoch_order, epoch_places, training_batches
from cnnlab.data.prepare import Prepared
from cnnlab.data.stored import StoredImages
from cnnlab.data.workers import Rows, Workers
from cnnlab.spec.images import ImageKeys
from cnnlab.spec.schema import Experiment
from cnnlab.train import devices, hosts
from cnnlab.train.state import State
from cnnlab.train.step import Examples, Program
from cnnlab.train.waiting import Clock

ON_CPU = 2**29  # bytes of examples that memory holds twice without a thought
PART = 2**26  # bytes that go to the device at once
ON_DEVICE = 0.25  # the share of a GPU's or TPU's memory that examples may take; the rest is the network's


def resident_bytes() -> float:
    """How large a source may be to lie on the device as a whole."""
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        return ON_CPU
    return ON_DEVICE * ((device.memory_stats() or {}).get("bytes_limit") or 4 * ON_CPU)


def loops_are_fast(many: Any, *arguments: Any) -> bool:
    """Whether steps lose nothing when many of them are one dispatch, with these arguments.

    On the CPU, XLA's own convolutions run on one core in a loop: LeNet-5, 64 images, takes 35 ms a step so, and
    9 ms as a dispatch of its own. With the kernels it takes 3.2 ms in a loop and 3.6 ms alone, an MLP 0.56 and 0.77.
    """
    return jax.default_backend() != "cpu" or "stablehlo.convolution" not in many.lower(*arguments).as_text()


def fits_device(x: np.ndarray | StoredImages) -> bool:
    """Whether all examples lie on the device. What stays in files does so on a CPU, whose memory is the host's."""
    there = isinstance(x, StoredImages) and jax.default_backend() == "cpu"
    return not there and x.nbytes <= resident_bytes()


def on_device(x: np.ndarray | StoredImages) -> np.ndarray | Array:
    """All examples, of images in files a part at a time, so that the host never has more."""
    if isinstance(x, np.ndarray):
        return x
    rows = max(1, PART // x[0].nbytes)
    return jnp.concatenate([jnp.array(x[start : start + rows]) for start in range(0, len(x), rows)])


class Feed:
    """Takes a state from step to step of an epoch, whose order follows from the seed and the epoch alone.

    Close it when it is done with: the data's workers are its own. `data_seconds` is the time so far in which neither
    host nor device had a batch to work on.
    """

    def __init__(self, program: Program, experiment: Experiment, prepared: Prepared):
        self._program, self._prepared = program, prepared
        self._seed, self._batch_size = experiment.seed, experiment.data.batch_size
        self._targets, self._examples = program.task.targets(prepared.dataset), None
        x = prepared.dataset.x
        if hosts.all_of(lambda: fits_device(x)):
            self._examples = devices.replicated(Examples(on_device(x), self._targets), program.mesh)  # type: ignore[arg-type]
        self._fast: set[Callable[..., State]] = set()
        self.data_seconds = 0.0
        self._clock = self._workers = None
        self._notes: tuple[str, ...] = ()
        if isinstance(x, StoredImages):
            workers = experiment.data.workers if isinstance(experiment.data, ImageKeys) else 0
            if self._examples is None:
                self._clock = Clock(experiment.data, x)
                rows = Rows(prepared, self._seed, self._batch_size, devices.part_of(program.mesh))
                self._workers = Workers(workers, rows) if workers else None
            elif workers:
                self._notes = (f"data.workers: {workers} is not used: the images lie on the device",)

    def begin(self, epoch: int, state: State) -> None:
        """Makes the epoch's order; `advance` then goes along it. The state is any that the steps may be given."""
        started = time.perf_counter()
        self._order = epoch_order(self._prepared, self._seed, epoch)
        self._steps, self._coming, self._epoch = self._program.steps_of(epoch), None, epoch
        if self._examples is not None:
            places = epoch_places(self._prepared, self._order, self._batch_size)
            places, mask = devices.replicated(places, self._program.mesh)
            self._resident = (self._examples, places, mask)
        self.data_seconds += time.perf_counter() - started
        many = self._steps.many
        if self._examples is not None and many not in self._fast:
            if hosts.all_of(lambda: loops_are_fast(many, state, *self._resident, 1)):
                self._fast.add(many)
            else:
                self._examples = None

    def advance(self, state: State, first: int, count: int) -> State:
        """The state after the steps from `first` of the epoch on; it may not be ready yet. `state` is used up."""
        if self._examples is not None:
            return self._steps.many(state, *self._resident, count)
        if self._coming is None:
            self._coming = self._batches(first, self._workers)
        for _ in range(count):
            batch = self._next(self._coming, state)
            state = self._steps.one(state, *batch)
            if self._clock is not None:
                self._clock.step(self._batch_size, self.data_seconds)
        return state

    def time_spent(self) -> tuple[str, ...]:
        """Sentences on where the time goes, once, where examples come from files. The last step must be done."""
        told = self._clock.told(self.data_seconds) if self._clock is not None else None
        if told is not None:
            self._clock = None
        notes, self._notes = self._notes, ()
        return notes if told is None else (*notes, told)

    def lowered(self, state: State) -> Any:
        """What `advance` calls in the epoch that was begun, lowered for this state: to be looked at."""
        if self._examples is not None:
            return self._steps.many.lower(state, *self._resident, 1)  # type: ignore[attr-defined]
        batch = self._placed(next(self._batches(0)).result())
        return self._steps.one.lower(state, *batch)  # type: ignore[attr-defined]

    def close(self) -> None:
        """Ends the processes that read examples, where there are any."""
        if self._workers is not None:
            self._workers.close()

    def _batches(self, first: int, workers: Workers | None = None) -> Iterator[Coming]:
        part, epoch = devices.part_of(self._program.mesh), self._epoch
        read = None if workers is None else lambda i, _: workers.reading(epoch, i)
        return training_batches(self._prepared, self._order, first, self._batch_size, self._targets, part, read)

    def _placed(self, batch: Batch) -> Batch:
        """The batch with the x of all processes, of which this one has read its share."""
        return batch._replace(x=devices.whole(batch.x, self._program.mesh))

    def _next(self, coming: Iterator[Coming], state: State) -> Batch:
        batch = next(coming)
        if not batch.ready():
            jax.block_until_ready(state)  # what the device still does is no waiting for data
        started = time.perf_counter()
        found = batch.result()
        self.data_seconds += time.perf_counter() - started
        return self._placed(found)
