"""When a run's states go to disk: the best one, the last one, and the one before it.

An epoch's checkpoint is written by a thread of its own while the next epoch trains.
"""

import time
from concurrent.futures import Future, ThreadPoolExecutor

import jax
import numpy as np

from cnnlab.runs.directory import Run
from cnnlab.spec.train import EarlyStopping, Train
from cnnlab.train import checkpoint
from cnnlab.train.state import State
from cnnlab.train.stopping import best_epoch, is_over

SECONDS = 5.0  # short epochs would spend a fifth of their time on checkpoints


class Saver:
    """Keeps the contract that with any epoch on disk the best one up to it is there too.

    Between two checkpoints the best state waits in memory. A run that is killed goes on from the older
    checkpoint and finds the same best state again.
    """

    def __init__(self, run: Run, train: Train, stopping: EarlyStopping):
        self.directory, self.train, self.stopping = run.checkpoints, train, stopping
        self.waiting: tuple[State, int] | None = None
        self.saved_at = time.monotonic()
        self.writer = ThreadPoolExecutor(1, "checkpoints")
        self.writing: Future[None] | None = None

    def begin(self, state: State, epoch: int) -> None:
        """Begin to store the state that training starts from, where nothing is stored yet: the first step compiles
        meanwhile. Of a run that is killed before, nothing is lost."""
        if not checkpoint.stored(self.directory):
            self.writing = self.writer.submit(self._store, [(_copied(state), epoch)], None)

    def epoch_ended(self, rows: list[dict[str, float]], state: State) -> None:
        """Begin to store the state behind the last of `rows`, or keep it in mind if it is the best.

        Raises OSError where the store that was begun before has failed.
        """
        best = best_epoch(rows, self.stopping)
        is_best, epoch = best == len(rows) - 1, len(rows)
        due = self._due(rows)
        if not due and not is_best:
            return
        copied = _copied(state)
        if is_best:
            self.waiting = copied, epoch
        if due:
            self.settle()
            states = [self.waiting] if self.waiting is not None and not is_best else []
            self.waiting = None
            self.writing = self.writer.submit(self._store, [*states, (copied, epoch)], best)
            self.saved_at = time.monotonic()

    def _store(self, states: list[tuple[State, int]], best: int | None) -> None:
        for state, epoch in states:
            checkpoint.save(self.directory, state, epoch)
        there = checkpoint.stored(self.directory)
        kept = [c for c in there if best is not None and c.epoch == best + 1]
        checkpoint.keep(self.directory, [*there[-2:], *kept])

    def settle(self) -> None:
        """Wait until all that was begun is on disk. Raises OSError where it could not be written."""
        if self.writing is not None:
            writing, self.writing = self.writing, None
            writing.result()

    def close(self) -> None:
        """Wait for what is being written, whatever has become of the run: Orbax cannot finish in a process that ends,
        and would keep it from ending."""
        self.writer.shutdown()

    def _due(self, rows: list[dict[str, float]]) -> bool:
        if len(rows) == self.train.epochs or is_over(rows, self.stopping):
            return True
        if self.train.checkpoint_every is not None:
            return len(rows) % self.train.checkpoint_every == 0
        return time.monotonic() - self.saved_at >= SECONDS

    def keep_best(self) -> None:
        """Store the best state where it still waits in memory."""
        self.settle()
        if self.waiting is not None:
            state, epoch = self.waiting
            checkpoint.save(self.directory, state, epoch)
            self.waiting = None

    def finish(self, state: State, epoch: int) -> None:
        """Store the best state and this one, unless it is stored: a signal may come right behind an epoch's end."""
        self.settle()
        if self.waiting is not None and self.waiting[1] == epoch and int(self.waiting[0].step) == int(state.step):
            self.waiting = None
        self.keep_best()
        there = checkpoint.stored(self.directory)
        if not any((c.step, c.epoch) == (int(state.step), epoch) for c in there):
            checkpoint.save(self.directory, state, epoch)


def _copied(state: State) -> State:
    """On the host: the next step takes the state's memory over."""
    return jax.tree.map(lambda leaf: np.array(leaf, copy=True), state)
