"""Batches that processes of their own read ahead, Grain's, in place of threads: for decoders that hold Python's lock.

Each process brings every n-th batch of a run, whole, through shared memory. Which examples are in it follows from
(seed, epoch, number) there as here, so that nothing is sent but batches, and they are the same, however many there are.

What Grain 0.2.18 leaves open is closed here: its processes outlive one that is killed, since nobody tells them to stop;
Ctrl-C and SIGTERM reach them too where a whole group of processes is meant; and each imports jax.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from math import prod
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np

from cnnlab.data import worker_main
from cnnlab.data.batches import ALL, batch_index, orders, share, steps_per_epoch
from cnnlab.data.prepare import Prepared
from cnnlab.data.stored import Reading, StoredImages
from cnnlab.errors import DataError, WorkerError
from cnnlab.spec.images import ImageKeys

AT_HAND = 5  # batches of a process that may be there at once: made, on their way, waiting here
SHARED = "/dev/shm"  # where Linux keeps shared memory
ENDLESS = 2**62  # batches: more than a run has
STARTED = 10.0  # seconds that starting the processes may take
PATIENCE = 5.0  # seconds that they have to finish the batch at hand when they are to stop
HEARD = (signal.SIGINT, signal.SIGTERM)


def check_grain() -> Any:
    """The module; DataError where it is not installed."""
    try:
        import grain  # pyright: ignore[reportMissingImports]
        from absl import flags
    except ImportError:
        hint = "pip install 'cnnlab[grain]', or leave data.workers out"
        raise DataError("Grain is not installed", where="data.workers", hint=hint) from None
    flags.FLAGS.mark_as_parsed()  # Grain's settings are flags of Abseil, which are read from no command line here
    return grain


def check_workers(data: object) -> None:
    """Raises DataError where a spec's `data` asks for processes that cannot be."""
    if isinstance(data, ImageKeys) and data.workers:
        check_grain()


class Rows:
    """The rows of x in every batch of a run, from its first epoch on: what each process has, and reads from."""

    def __init__(self, prepared: Prepared, seed: int, batch_size: int, part: tuple[int, int] = ALL):
        x = prepared.dataset.x
        assert isinstance(x, StoredImages), "arrays are read by threads"
        self.x, self.train, self.order = x.bare(), prepared.splits["train"], orders(prepared, seed)
        self.batch_size, self.part = batch_size, part
        self.steps = steps_per_epoch(len(self.train), batch_size)
        self._epoch, self._shuffled = -1, self.train

    def __len__(self) -> int:
        return ENDLESS

    @property
    def nbytes(self) -> int:
        """Of the rows of a batch."""
        return self.batch_size // self.part[1] * prod(self.x.shape[1:])

    def __getitem__(self, number: int) -> "np.ndarray | Exception":
        """uint8 [share of the batch, height, width, channel], or what went wrong: an error that is raised here would
        end the process."""
        epoch, i = divmod(number, self.steps)
        if epoch != self._epoch:
            self._epoch, self._shuffled = epoch, self.train[self.order(epoch)]
        places = self.x.places[share(batch_index(self._shuffled, i, self.batch_size), *self.part)]
        rows = np.empty((len(places), *self.x.shape[1:]), np.uint8)
        try:
            for row, place in zip(rows, places.tolist(), strict=True):
                row[...] = self.x.read(place)
        except Exception as error:
            known = isinstance(error, DataError) or type(error).__module__ == "builtins"
            return error if known else RuntimeError(f"{type(error).__name__}: {error}")  # which goes through a pipe
        return rows


class Workers:
    """So many processes that read the batches of a run in their order, each some ahead. Close it when it is done with.

    They are started with the first batch that is asked for, once; anew only where the next one is not the one behind.
    """

    def __init__(self, count: int, rows: Rows):
        self.count, self.rows = count, rows
        self.processes: list[BaseProcess] = []
        self._iterator: Any = None
        self._next, self._broken = 0, False
        self._reader = ThreadPoolExecutor(1, "workers")  # the one thread that speaks with Grain

    def reading(self, epoch: int, i: int) -> Reading:
        """Begins to read the x of batch `i` of an epoch. Raises WorkerError where a process has ended."""
        coming = self._reader.submit(self._take, epoch * self.rows.steps + i)
        return Reading(coming.result, [coming])

    def close(self) -> None:
        """Ends the processes: when they have finished the batch at hand, or by force where that takes too long."""
        closed = self._reader.submit(self._stop)
        self._reader.shutdown(wait=False)
        try:
            wait([closed], PATIENCE)
        finally:  # where Ctrl-C comes once more too
            if not closed.done():
                for process in self.processes:
                    process.kill()
                wait([closed], PATIENCE)

    def _take(self, number: int) -> np.ndarray:
        if self._broken:  # Grain would go on without the process that has ended, in another order
            raise self._ended()
        if self._iterator is None or number != self._next:
            self._stop()
            self._start(number)
        assert self._iterator is not None
        self._next = number + 1
        try:
            found = next(self._iterator)
        except RuntimeError as error:
            self._broken = True
            raise self._ended() from error
        if isinstance(found, Exception):
            raise found
        return np.array(found)  # so that the shared memory is free again at once, and Grain's part in it over

    def _start(self, number: int) -> None:
        grain = check_grain()
        options = grain.MultiprocessingOptions(num_workers=self.count, per_worker_buffer_size=1)
        batches = grain.MapDataset.source(self.rows)[number:]
        batches = batches.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
        _check_shared_memory(self.count * AT_HAND * self.rows.nbytes)
        _start_tracker()
        before = set(multiprocessing.active_children())
        with _as_main(worker_main):
            self._iterator = iter(batches.mp_prefetch(options, worker_init_fn=_end_with_the_run))
            self._iterator.get_state()  # makes an iterator for each process,
            signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)  # which is inherited by all that this thread starts,
            self._iterator.start_prefetch()  # and these start the processes, in threads
            until = time.monotonic() + STARTED
            while len(self.processes) < self.count and time.monotonic() < until:
                time.sleep(0.002)
                self.processes = [p for p in multiprocessing.active_children() if p not in before]

    def _stop(self) -> None:
        if self._iterator is not None:
            self._iterator.close()
        self._iterator, self.processes = None, []

    def _ended(self) -> WorkerError:
        codes = [-process.exitcode for process in self.processes if process.exitcode]
        how = f"ended by {signal.Signals(codes[0]).name}" if codes and codes[0] > 0 else "ended"
        hint = "--resume continues the run; fewer data.workers take less memory"
        return WorkerError(f"a process that reads images was {how}", where="data.workers", hint=hint)


def _end_with_the_run(index: int, count: int) -> None:
    """In a worker process: let it end when the run does, however that ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait_for_end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait_for_end, daemon=True).start()


def _check_shared_memory(needed: int) -> None:
    """Raises DataError where batches would not fit, which ends a process without a word."""
    try:
        found = os.statvfs(SHARED)
    except OSError:
        return  # not Linux
    if needed > (free := found.f_bavail * found.f_frsize):
        message = f"their batches may take {needed / 2**20:,.0f} MiB of {SHARED}, which has {free / 2**20:,.0f}"
        hint = "fewer workers, a smaller data.batch_size, or in a container more shared memory (docker run --shm-size)"
        raise DataError(message, where="data.workers", hint=hint)


def _start_tracker() -> None:
    """Python's process that frees shared memory which a process that was killed has left: without its warning."""
    with _environment("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning"):
        resource_tracker.ensure_running()


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


@contextmanager
def _as_main(module: Any) -> Iterator[None]:
    """Inside, processes that are spawned import `module` first, not the program's own main module."""
    before = sys.modules["__main__"]
    sys.modules["__main__"] = module
    try:
        yield
    finally:
        sys.modules["__main__"] = before
