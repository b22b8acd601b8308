"""What is on disk after each epoch, and that the best state is the one of its own epoch."""

import threading

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnlab.runs import saving
from cnnlab.runs.directory import Run
from cnnlab.runs.saving import Saver
from cnnlab.spec.losses import CrossEntropy
from cnnlab.spec.train import EarlyStopping, Train
from cnnlab.tasks.classification import Classification
from cnnlab.train import checkpoint
from cnnlab.train.state import initial

STOPPING = EarlyStopping(metric="validation/loss", patience=100)


def state_after(epoch: int):
    """A state that tells its epoch: two steps each, and the number of epochs as its one weight."""
    params = {"weight": np.full((2, 2), epoch, np.float32)}
    return initial(
        params, {}, {"optimizer": optax.sgd(0.1).init(params)}, Classification(("a", "b"), CrossEntropy())
    )._replace(step=jnp.asarray(2 * epoch, jnp.int32))


def saved_after_each(tmp_path, losses: list[float], **train: int | None) -> list[list[int]]:
    """The epochs on disk after each one."""
    saver = Saver(Run(tmp_path), Train(epochs=len(losses), **train), STOPPING)
    saver.begin(state_after(0), 0)
    rows, seen = [], []
    for epoch, loss in enumerate(losses, start=1):
        rows.append({"validation/loss": loss})
        saver.epoch_ended(rows, state_after(epoch))
        saver.settle()
        seen.append([c.epoch for c in checkpoint.stored(tmp_path / "checkpoints")])
    for stored in checkpoint.stored(tmp_path / "checkpoints"):
        assert checkpoint.load(stored, state_after(0)).params["weight"][0, 0] == stored.epoch
    return seen


def test_the_best_the_last_and_the_one_before_it(tmp_path):
    seen = saved_after_each(tmp_path, [3, 1, 2, 4, 5], checkpoint_every=1)
    assert seen == [[0, 1], [1, 2], [2, 3], [2, 3, 4], [2, 4, 5]]


def test_the_best_waits_for_the_next_checkpoint(tmp_path):
    seen = saved_after_each(tmp_path, [3, 1, 2, 0.5, 5, 6], checkpoint_every=3)
    assert seen == [[0], [0], [2, 3], [2, 3], [2, 3], [4, 6]]


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, [[0, 1], [1, 2], [2, 3]]), (3600.0, [[0], [0], [2, 3]])])
def test_by_default_time_decides_and_the_end_is_always_stored(tmp_path, monkeypatch, seconds, expected):
    monkeypatch.setattr(saving, "SECONDS", seconds)
    assert saved_after_each(tmp_path, [3, 1, 2]) == expected


def test_an_interruption_stores_the_best_and_the_last_and_nothing_twice(tmp_path):
    saver = Saver(Run(tmp_path), Train(epochs=9, checkpoint_every=9), STOPPING)
    rows = [{"validation/loss": 1.0}]
    saver.epoch_ended(rows, state_after(1))
    saver.finish(state_after(1), 1)
    assert [c.epoch for c in checkpoint.stored(tmp_path / "checkpoints")] == [1]
    rows.append({"validation/loss": 0.5})
    saver.epoch_ended(rows, state_after(2))
    saver.finish(state_after(3)._replace(step=jnp.asarray(5, jnp.int32)), 2)  # inside the third epoch
    assert [(c.epoch, c.step) for c in checkpoint.stored(tmp_path / "checkpoints")] == [(1, 2), (2, 4), (2, 5)]
    saver.finish(state_after(3)._replace(step=jnp.asarray(5, jnp.int32)), 2)
    assert len(checkpoint.stored(tmp_path / "checkpoints")) == 3


def test_training_does_not_wait_for_the_disk(tmp_path, monkeypatch):
    """An epoch's end only begins to write; what it writes is the state as it was then."""
    may_write, save = threading.Event(), checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda *arguments: (may_write.wait(60), save(*arguments))[1])
    saver = Saver(Run(tmp_path), Train(epochs=9, checkpoint_every=1), STOPPING)
    state = state_after(1)
    saver.epoch_ended([{"validation/loss": 1.0}], state)
    state.params["weight"][:] = 100
    assert checkpoint.stored(tmp_path / "checkpoints") == []
    may_write.set()
    saver.settle()
    (stored,) = checkpoint.stored(tmp_path / "checkpoints")
    assert checkpoint.load(stored, state_after(0)).params["weight"][0, 0] == 1


def test_a_full_disk_is_told_at_the_next_epoch(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)
    saver = Saver(Run(tmp_path), Train(epochs=9, checkpoint_every=1), STOPPING)
    rows = [{"validation/loss": 1.0}]
    saver.epoch_ended(rows, state_after(1))
    with pytest.raises(OSError, match="No space left"):
        saver.epoch_ended([*rows, {"validation/loss": 0.5}], state_after(2))
