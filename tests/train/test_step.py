"""The compiled step: what it computes, what it ignores, how often it is compiled."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from cnnlab.data.batches import Batch, order, training_batch
from cnnlab.data.prepare import prepare
from cnnlab.spec.load import load
from cnnlab.train import loop
from cnnlab.train.loop import EpochEnd, Stopped, fit
from cnnlab.train.state import named_leaves
from cnnlab.train.step import Sizes, Steps, compile_program


def program_of(spec: Path, *overrides: str):
    experiment = load(spec, list(overrides))
    prepared = prepare(experiment.data, Path(), experiment.seed)
    return experiment, prepared, compile_program(experiment, Sizes.of(experiment, prepared))


def never() -> bool:
    return False


def epochs(*arguments) -> Iterator[dict[str, float]]:
    """The rows of a training, without the progress between them."""
    return (event.row for event in fit(*arguments) if isinstance(event, EpochEnd))


def form_used(steps: Steps) -> list[Any]:
    """Of the two forms of a step, those that were compiled."""
    return [form for form in steps if form._cache_size()]  # type: ignore[attr-defined]


def bits(tree) -> dict[str, bytes]:
    return {name: np.asarray(leaf).tobytes() for name, leaf in named_leaves(tree).items()}


def test_training_compiles_one_step_and_one_evaluation_and_nothing_after_the_first_epoch(small):
    experiment, prepared, program = program_of(small)
    events: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: events.append(name))
    compiled_by_epoch = []
    for event in fit(program, experiment, prepared, program.initial_state, 0, never):
        if isinstance(event, EpochEnd):
            compiled_by_epoch.append(events.count("/jax/core/compile/backend_compile_duration"))
    assert compiled_by_epoch[0] > 0, "the listener hears compilations"
    assert set(compiled_by_epoch) == {compiled_by_epoch[0]}
    assert len(form_used(program.first)) == 1
    assert program.evaluate._cache_size() == 1  # type: ignore[attr-defined]


def test_two_trainings_give_the_same_bits_and_another_seed_does_not(small):
    results = []
    for seed in (0, 0, 1):
        experiment, prepared, program = program_of(small, f"seed={seed}", "train.epochs=1", "data.split.seed=0")
        *_, last = fit(program, experiment, prepared, program.initial_state, 0, never)
        results.append(bits(last.state))
    assert results[0] == results[1] != results[2]


def test_stopping_anywhere_and_going_on_gives_the_same_bits(small, monkeypatch):
    """Inside an epoch, at its end and before the first step; four steps make an epoch."""
    monkeypatch.setattr(loop, "DISPATCH_SECONDS", 0.0)
    experiment, prepared, program = program_of(small, "train.epochs=2")
    *_, whole = fit(program, experiment, prepared, program.initial_state, 0, never)
    for stop_at in (0, 1, 3, 4, 6):
        calls, epoch = iter(range(1000)), 0
        # The loop asks before every step, and before every batch of validation: two after each epoch's steps.
        ask_number = stop_at + 2 * (stop_at // 4) * (stop_at != 4)
        stop = lambda calls=calls, number=ask_number: next(calls) == number  # noqa: E731
        with pytest.raises(Stopped) as stopped:  # noqa: PT012
            for row in epochs(program, experiment, prepared, program.initial_state, 0, stop):
                epoch = row["epoch"]
        assert int(stopped.value.state.step) == stop_at
        *_, resumed = fit(program, experiment, prepared, stopped.value.state, epoch, never)
        assert bits(resumed.state) == bits(whole.state), stop_at


def test_padding_changes_nothing_but_batch_statistics(small):
    overrides = ["model.layers=[flatten, dense: classes]", "data.augment=[]"]
    states = []
    for filler in (0, 255):
        _, prepared, program = program_of(small, *overrides)
        batch = training_batch(prepared, order(0, 0, prepared.counts["train"]), 3, 16)
        assert 0 < batch.mask.sum() < 16, "the last batch of the epoch is a padded one"
        x = batch.x.copy()
        x[~batch.mask] = filler
        states.append(program.first.one(program.initial_state, x, batch.y, batch.mask, batch.index))
    assert bits(states[0]) == bits(states[1])
    assert int(states[0].sums["examples"]) == batch.mask.sum()


def test_one_step_of_sgd_against_numpy(small):
    """Softmax regression: the gradient is x (p - onehot) / n."""
    overrides = ["model.layers=[flatten, dense: classes]", "data.augment=[]", "data.normalize=false"]
    _, prepared, program = program_of(small, *overrides, "optimizer={name: sgd, learning_rate: 0.5}")
    batch = training_batch(prepared, np.arange(prepared.counts["train"]), 0, 16)
    layer = program.initial_state.params["dense_1"]
    kernel, bias = (np.asarray(layer[name], np.float64) for name in ("kernel", "bias"))
    x = batch.x.reshape(16, -1) / 255
    logits = x @ kernel + bias
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    error = (p - np.eye(3)[batch.y]) / 16
    state = program.first.one(program.initial_state, *batch)
    np.testing.assert_allclose(state.params["dense_1"]["kernel"], kernel - 0.5 * x.T @ error, atol=1e-6)
    np.testing.assert_allclose(state.params["dense_1"]["bias"], bias - 0.5 * error.sum(0), atol=1e-6)
    loss = -np.log(p[np.arange(16), batch.y]).mean()
    assert program.task.means(state.sums)["loss"] == pytest.approx(loss, abs=1e-6)
    assert program.task.means(state.sums)["accuracy"] == (p.argmax(1) == batch.y).mean()


def test_a_step_that_loses_its_way_is_remembered_and_only_the_first(small):
    _, prepared, program = program_of(small)
    batch = training_batch(prepared, np.arange(prepared.counts["train"]), 0, 16)
    poisoned = Batch(np.full(batch.x.shape, np.nan, np.float32), batch.y, batch.mask, batch.index)
    state = program.first.one(program.initial_state, *batch)
    assert int(state.diverged_at) == -1
    for _ in range(2):
        state = program.first.one(state, *poisoned)
    assert int(state.diverged_at) == 2
