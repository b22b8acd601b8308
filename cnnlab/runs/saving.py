"""When a run's states go to disk: the best one, the last one, and the one before it."""

import time

import jax
import numpy as np

from cnnlab.runs.directory import Run
from cnnlab.spec.schema import EarlyStopping, Train
from cnnlab.train import checkpoint
from cnnlab.train.state import State
from cnnlab.train.stopping import best_epoch, exhausted

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

    def begin(self, state: State, epoch: int) -> None:
        """Store the state that training starts from, where nothing is stored yet."""
        if not checkpoint.stored(self.directory):
            checkpoint.save(self.directory, state, epoch)

    def epoch_ended(self, rows: list[dict[str, float]], state: State) -> None:
        """Store the state behind the last of `rows`, or keep it in mind if it is the best."""
        best = best_epoch(rows, self.stopping)
        if self._due(rows):
            self.finish(state, len(rows))
            there = checkpoint.stored(self.directory)
            kept = [c for c in there if best is not None and c.epoch == best + 1]
            checkpoint.keep(self.directory, [*there[-2:], *kept])
            self.saved_at = time.monotonic()
        elif best == len(rows) - 1:
            # A copy: the next step takes the state's memory over.
            self.waiting = jax.tree.map(lambda leaf: np.array(leaf, copy=True), state), len(rows)

    def _due(self, rows: list[dict[str, float]]) -> bool:
        if len(rows) == self.train.epochs or exhausted(rows, self.stopping):
            return True
        if self.train.checkpoint_every is not None:
            return len(rows) % self.train.checkpoint_every == 0
        return time.monotonic() - self.saved_at >= SECONDS

    def keep_best(self) -> None:
        """Store the best state where it still waits in memory."""
        if self.waiting is not None:
            state, epoch = self.waiting
            checkpoint.save(self.directory, state, epoch)
            self.waiting = None

    def finish(self, state: State, epoch: int) -> None:
        """Store the best state and this one, unless it is stored: a signal may come right behind an epoch's end."""
        if self.waiting is not None and self.waiting[1] == epoch and int(self.waiting[0].step) == int(state.step):
            self.waiting = None
        self.keep_best()
        there = checkpoint.stored(self.directory)
        if not any((c.step, c.epoch) == (int(state.step), epoch) for c in there):
            checkpoint.save(self.directory, state, epoch)
