"""How examples come to the steps: from the device, where all of them lie, or batch by batch from the host."""

import time
from collections.abc import Callable
from typing import Any

import jax

from cnnlab.data.batches import Batch, epoch_order, epoch_places, training_batch
from cnnlab.data.prepare import Prepared
from cnnlab.spec.schema import Experiment
from cnnlab.train import devices
from cnnlab.train.state import State
from cnnlab.train.step import Examples, Program

ON_CPU = 2**29  # bytes of examples that memory holds twice without a thought
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


class Feed:
    """Takes a state from step to step of an epoch, whose order follows from the seed and the epoch alone.

    `data_seconds` is the time that the host has spent so far on making batches.
    """

    def __init__(self, program: Program, experiment: Experiment, prepared: Prepared):
        self._program, self._prepared = program, prepared
        self._seed, self._batch_size = experiment.seed, experiment.data.batch_size
        self._targets, self._examples = program.task.targets(prepared.dataset), None
        if prepared.dataset.x.nbytes <= resident_bytes():
            self._examples = devices.replicated(Examples(prepared.dataset.x, self._targets), program.mesh)  # type: ignore[arg-type]
        self._fast: set[Callable[..., State]] = set()
        self.data_seconds = 0.0

    def begin(self, epoch: int, state: State) -> None:
        """Makes the epoch's order; `advance` then goes along it. The state is any that the steps may be given."""
        started = time.perf_counter()
        self._order = epoch_order(self._prepared, self._seed, epoch)
        self._steps, self._ready = self._program.steps_of(epoch), None
        if self._examples is not None:
            places = epoch_places(self._prepared, self._order, self._batch_size)
            places, mask = devices.replicated(places, self._program.mesh)
            self._resident = (self._examples, places, mask)
        self.data_seconds += time.perf_counter() - started
        many = self._steps.many
        if self._examples is not None and many not in self._fast:
            if loops_are_fast(many, state, *self._resident, 1):
                self._fast.add(many)
            else:
                self._examples = None

    def advance(self, state: State, first: int, count: int) -> State:
        """The state after the steps from `first` of the epoch on; it may not be ready yet. `state` is used up."""
        if self._examples is not None:
            return self._steps.many(state, *self._resident, count)
        for i in range(first, first + count):
            batch = self._batch(i) if self._ready is None else self._ready
            state = self._steps.one(state, *batch)
            # The device is at work, and the next batch is made meanwhile.
            self._ready = self._batch(i + 1) if i + 1 < self._program.steps_per_epoch else None
        return state

    def lowered(self, state: State) -> Any:
        """What `advance` calls in the epoch that was begun, lowered for this state: to be looked at."""
        if self._examples is not None:
            return self._steps.many.lower(state, *self._resident, 1)  # type: ignore[attr-defined]
        batch = self._batch(0)
        return self._steps.one.lower(state, *batch)  # type: ignore[attr-defined]

    def _batch(self, i: int) -> Batch:
        started = time.perf_counter()
        batch = training_batch(self._prepared, self._order, i, self._batch_size, self._targets)
        self.data_seconds += time.perf_counter() - started
        return batch
