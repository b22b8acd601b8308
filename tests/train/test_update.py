"""Updates as the step makes them: gathered, averaged, looked ahead, reduced; and stopped and taken up again."""

from typing import Any

import jax
import numpy as np
import pytest

from cnnlab.data.batches import order, training_batch
from cnnlab.optim.lookahead import slow_weights
from cnnlab.spec.optimizers import OPTIMIZERS
from cnnlab.train import checkpoint, loop
from cnnlab.train.loop import EpochEnd, Stopped, fit
from tests.train.test_step import bits, never, program_of

PLAIN = ["data.augment=[]", "model.layers=[batch_norm, flatten, dense: classes]"]
CHANCE = ["data.augment=[noise: 0.1]", "model.layers=[batch_norm, flatten, dropout: 0.25, dense: classes]"]
PLATEAU = "optimizer.learning_rate={schedule: plateau, peak: 0.01, patience: 1, min_delta: 100, factor: 0.5}"
EACH = {
    "accumulate": ["optimizer.accumulate=3"],
    "average and plateau": ["train.average={from_epoch: 1}", PLATEAU],
    "all": ["optimizer.accumulate=3", "train.average={decay: 0.9}", "optimizer.lookahead={steps: 2}", PLATEAU],
}


def trained(program, experiment, prepared, state=None, epoch=0) -> list[EpochEnd]:
    events = fit(program, experiment, prepared, state or program.initial_state, epoch, never)
    return [event for event in events if isinstance(event, EpochEnd)]


def timeless(row: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name not in ("seconds", "images_per_second")}


def stopped_at(program, experiment, prepared, step: int) -> tuple[Any, int]:
    """The state after so many steps, and the epochs recorded in it.

    The loop asks before each of an epoch's four steps, and before each of the validation's two batches.
    """
    validation = 2 if program.judged is None else 4
    asks = iter([False] * (step + step // 4 * validation) + [True])
    epoch = 0
    with pytest.raises(Stopped) as stopped:  # noqa: PT012
        for event in fit(program, experiment, prepared, program.initial_state, 0, lambda: next(asks)):
            epoch += isinstance(event, EpochEnd)
    assert (int(stopped.value.state.step), epoch) == (step, step // 4)
    return stopped.value.state, epoch


@pytest.mark.parametrize("overrides", EACH.values(), ids=EACH)
def test_two_epochs_and_a_resume_are_four_to_the_bit(small, overrides, tmp_path, monkeypatch):
    """Stopped inside the third epoch too, in the middle of what is gathered; one comes from a checkpoint's files."""
    monkeypatch.setattr(loop, "DISPATCH_SECONDS", 0.0)
    experiment, prepared, program = program_of(small, *CHANCE, *overrides)
    whole = trained(program, experiment, prepared)
    assert len(whole) == 4
    for stop in (8, 9):
        state, epoch = stopped_at(program, experiment, prepared, stop)
        stored = jax.device_get(state)
        if stop == 9:
            stored = checkpoint.load(checkpoint.save(tmp_path, state, epoch), program.host_state)
        rest = trained(program, experiment, prepared, program.placed(stored), epoch)
        assert bits(rest[-1].state) == bits(whole[-1].state)
        assert [timeless(end.row) for end in rest] == [timeless(end.row) for end in whole[2:]]


def test_what_a_spec_does_not_ask_for_leaves_the_state_as_it_always_was(small):
    """Runs of older versions are read: their checkpoints have these arrays."""
    _, _, program = program_of(small, *PLAIN)
    fields = {name.partition(".")[0] for name in bits(program.host_state)}
    assert fields == {"params", "stats", "optimizer", "sums", "step", "diverged_at", "diverged_loss"}


@pytest.mark.parametrize("optimizer", ["adamw", "{name: momentum, clip_norm: 0.5, weight_decay: 0.1}"])
def test_three_batches_gathered_are_one_of_three_times_the_size(small, optimizer):
    """54 examples: batches of 8 gathered by 3 are 24, 24 and 6; the last batch is filled up to 8 and masked."""
    layers = ["data.augment=[]", "model.layers=[flatten, dense: classes]"]
    rates, weights = [], []
    for settings in (("data.batch_size=8", "optimizer.accumulate=3"), ("data.batch_size=24",)):
        name = f"optimizer={optimizer if '{' in optimizer else f'{{name: {optimizer}}}'}"
        rate = "optimizer.learning_rate={peak: 0.05, warmup_epochs: 1}"
        experiment, prepared, program = program_of(small, *layers, name, rate, *settings)
        ends = trained(program, experiment, prepared)
        rates.append([end.row["learning_rate"] for end in ends])
        weights.append(jax.tree.leaves(ends[-1].state.params))
    assert rates[0] == rates[1]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def iterates(program, prepared, epochs: int) -> list[Any]:
    """The states after each step, on the host."""
    state, found = program.initial_state, []
    for epoch in range(epochs):
        order_of = order(0, epoch, prepared.counts["train"])
        for i in range(program.steps_per_epoch):
            batch = training_batch(prepared, order_of, i, 16)
            state = program.first.one(state, *batch)
            found.append(jax.device_get(state))
    return found


@pytest.mark.parametrize(("average", "first"), [("{decay: 0.9}", 0), ("{from_epoch: 1}", 4), ("{}", 0)])
def test_the_network_is_judged_by_the_mean_of_its_weights_and_statistics(small, average, first):
    _, prepared, program = program_of(small, *PLAIN, f"train.average={average}")
    states = iterates(program, prepared, 2)
    weights = np.ones(8 - first) if "decay" not in average else 0.9 ** np.arange(7 - first, -1, -1)
    weights /= weights.sum()
    seen = program.seen(program.placed(states[-1]))
    for kind in ("params", "stats"):
        leaves = [jax.tree.leaves(getattr(state, kind)) for state in states[first:]]
        for found, *values in zip(jax.tree.leaves(getattr(seen, kind)), *leaves, strict=True):
            np.testing.assert_allclose(found, np.tensordot(weights, np.array(values), 1), rtol=1e-4, atol=1e-6)
    if first:
        before = program.seen(program.placed(states[first - 1]))
        assert bits(before.params) == bits(states[first - 1].params), "before it begins, by the last iterate"


def test_the_average_counts_updates_not_batches(small):
    _, prepared, program = program_of(small, *PLAIN, "train.average={}", "optimizer.accumulate=3")
    states = iterates(program, prepared, 1)
    assert [int(state.average.iterates) for state in states] == [0, 0, 1, 2]
    first, *_ = jax.tree.leaves(states[0].params)
    assert np.array_equal(first, jax.tree.leaves(program.host_state.params)[0]), "and nothing moves in between"


def test_lookahead_is_judged_by_its_slow_weights(small):
    _, prepared, program = program_of(small, *PLAIN, "optimizer.lookahead={steps: 3, rate: 0.5}")
    states = iterates(program, prepared, 2)
    judged = [bits(program.seen(program.placed(state)).params) for state in states]
    assert judged[0] == judged[1] == bits(program.host_state.params)
    assert judged[2] == bits(states[2].params), "at the end of a cycle both are the same"
    assert judged[3] == judged[2] != bits(states[3].params)
    assert bits(slow_weights(states[5].optimizer, states[5].params)) == bits(states[5].params)


def test_a_validation_of_both_stands_in_the_history_where_they_differ(small):
    experiment, prepared, program = program_of(small, *PLAIN, "train.average={decay: 0.9}", "train.epochs=1")
    (end,) = trained(program, experiment, prepared)
    assert {"last_iterate/loss", "last_iterate/accuracy", "last_iterate/f1"} <= set(end.row)
    assert end.row["last_iterate/loss"] != end.row["validation/loss"]
    experiment, prepared, program = program_of(small, *PLAIN, "train.epochs=1")
    assert not [name for name in trained(program, experiment, prepared)[0].row if name.startswith("last")]


def test_a_plateau_lowers_the_rate_between_epochs(small):
    experiment, prepared, program = program_of(small, *PLAIN, PLATEAU)
    ends = trained(program, experiment, prepared)
    assert [end.row["learning_rate"] for end in ends] == pytest.approx([0.01, 0.01, 0.005, 0.0025])
    sgd = PLATEAU.replace("optimizer.learning_rate=", "optimizer={name: sgd, learning_rate: ") + "}"
    _, prepared, program = program_of(small, *PLAIN, sgd)
    batch = training_batch(prepared, order(0, 0, 54), 0, 16)
    moves, before = [], jax.tree.leaves(program.host_state.params)
    for factor in (1.0, 0.25):
        state = program.initial_state
        state = state._replace(plateau=state.plateau._replace(factor=np.float32(factor)))
        after = jax.tree.leaves(program.first.one(state, *batch).params)
        moves.append([a - b for a, b in zip(after, before, strict=True)])
    for one, quarter in zip(*moves, strict=True):
        np.testing.assert_allclose(quarter, 0.25 * one, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("cls", OPTIMIZERS, ids=lambda cls: cls.tags[0])
def test_each_optimizer_trains_from_the_same_weights_with_all_around_it(small, cls):
    """One compiled loop: what a state is made of does not change on the way."""
    around = "accumulate: 2, lookahead: {steps: 2}, clip_value: 1, clip_norm: 1, weight_decay: 0.01"
    rate = "{schedule: constant, peak: 0.01}"
    name = f"optimizer={{name: {cls.tags[0]}, {around}, learning_rate: {rate}}}"
    experiment, prepared, program = program_of(small, *PLAIN, name, "train.average={decay: 0.5}", "train.epochs=1")
    _, _, plain = program_of(small, *PLAIN)
    assert bits(program.host_state.params) == bits(plain.host_state.params)
    (end,) = trained(program, experiment, prepared)
    assert np.isfinite(end.row["train/loss"])
    assert bits(end.state.params) != bits(program.host_state.params)
