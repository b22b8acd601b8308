"""Frozen parts keep their bits and compute as in evaluation; the rest learns as it would; later all train."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from cnnlab.data.batches import training_batch
from cnnlab.errors import SpecError
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.models import build
from cnnlab.spec.load import load
from cnnlab.train import loop
from cnnlab.train.freeze import Trainable, frozen_mask, hold_statistics, trainable
from cnnlab.train.loop import EpochEnd, Stopped, fit
from cnnlab.train.state import named_leaves, split
from tests.train.test_step import bits, epochs, form_used, never, program_of

LAYERS = """[
  conv: {name: conv1, features: 4, kernel: 3, bias: false}, batch_norm: {name: norm1}, relu,
  conv: {name: conv2, features: 4, kernel: 3, bias: false}, batch_norm: {name: norm2}, relu,
  flatten, dense: {name: head, features: classes}]""".replace("\n", "")
NET = f"model.layers={LAYERS}"
PLAIN = "data.augment=[]"
SGD = "optimizer={name: sgd, learning_rate: 1.0}"
KERNELS = {"conv1.kernel", "conv2.kernel", "head.kernel", "head.bias"}
NORMS = {"norm1.scale", "norm1.bias", "norm2.scale", "norm2.bias"}
STATISTICS = {"norm1.mean", "norm1.var", "norm2.mean", "norm2.var"}
OPTIMIZERS = [
    "{name: sgd, learning_rate: 0.1, weight_decay: 0.1}",
    "{name: momentum, learning_rate: 0.1, weight_decay: 0.1, nesterov: true}",
    "{name: adam, learning_rate: 0.1, weight_decay: 0.1, clip_norm: 0.1}",
    "{name: adamw, learning_rate: 0.1, weight_decay: 0.1, clip_norm: 0.1}",
]


def on_host(tree):
    """A copy: the next step takes the arrays over."""
    return jax.tree.map(lambda leaf: np.array(leaf, copy=True), tree)


def moved(before, after) -> set[str]:
    """The names of the leaves whose bits are others."""
    old, new = bits(before), bits(after)
    return {name for name in old if old[name] != new[name]}


def moved_by_epoch(small, *overrides) -> list[tuple[set[str], set[str]]]:
    """What moves in each epoch: of the parameters, of the batch statistics."""
    experiment, prepared, program = program_of(small, NET, PLAIN, *overrides)
    before, found = program.host_state, []
    for event in fit(program, experiment, prepared, program.initial_state, 0, never):
        if isinstance(event, EpochEnd):
            after = on_host(event.state)
            found.append((moved(before.params, after.params), moved(before.stats, after.stats)))
            before = after
    return found


def first_step(small, *overrides):
    """The state before and after a step on one batch, and that batch, normalised."""
    _, prepared, program = program_of(small, NET, PLAIN, *overrides)
    batch = training_batch(prepared, np.arange(prepared.counts["train"]), 0, 16)
    assert batch.mask.all()
    state = on_host(program.first.one(program.initial_state, *batch))
    x = (batch.x.astype(np.float32) / 255 - prepared.mean) / prepared.std
    return program.host_state, state, x, batch.y


def change(before, after) -> dict[str, np.ndarray]:
    old, new = named_leaves(before), named_leaves(after)
    return {name: np.asarray(new[name]) - np.asarray(old[name]) for name in old}


# ---------------------------------------------------------------- what stays


def test_without_freezing_all_move(small):
    assert moved_by_epoch(small, "train.epochs=1") == [(KERNELS | NORMS, STATISTICS)]


@pytest.mark.parametrize(
    ("freeze", "kept", "still"),
    [
        ("[head.bias, norm1.scale]", {"head.bias", "norm1.scale"}, set()),  # a leaf is not the layer
        ('["*.kernel"]', {"conv1.kernel", "conv2.kernel", "head.kernel"}, set()),
        ('["*1"]', {"conv1.kernel", "norm1.scale", "norm1.bias"}, {"norm1.mean", "norm1.var"}),
    ],
)
def test_a_pattern_freezes_what_it_names_and_nothing_else(small, freeze, kept, still):
    found = moved_by_epoch(small, f"model.freeze={freeze}", "train.epochs=1")
    assert found == [((KERNELS | NORMS) - kept, STATISTICS - still)]


# ---------------------------------------------------------------- what moves


def test_the_rest_moves_as_it_would_where_nothing_above_it_changed(small):
    """Without frozen statistics the first forward pass is the same, and so is the gradient."""
    before, after, *_ = first_step(small, SGD)
    free = change(before.params, after.params)
    before, after, *_ = first_step(small, SGD, "model.freeze=[conv1, norm2.scale]")
    found = change(before.params, after.params)
    for name in free:
        if name.startswith("conv1") or name == "norm2.scale":
            assert not found[name].any()
        else:
            assert np.abs(found[name]).max() > 1e-7, name
            np.testing.assert_allclose(found[name], free[name], rtol=1e-4, atol=1e-7, err_msg=name)


def test_the_norm_that_clips_is_that_of_the_gradient_of_what_trains(small):
    freeze = "model.freeze=[conv1, conv2]"
    before, after, *_ = first_step(small, SGD, freeze)
    gradient = {name: -delta.astype(np.float64) for name, delta in change(before.params, after.params).items()}
    norm = np.sqrt(sum((leaf**2).sum() for leaf in gradient.values()))
    largest = 0.25 * norm
    clipped = f"optimizer={{name: sgd, learning_rate: 1.0, clip_norm: {largest}}}"
    before, after, *_ = first_step(small, clipped, freeze)
    for name, delta in change(before.params, after.params).items():
        np.testing.assert_allclose(delta, -0.25 * gradient[name], rtol=1e-3, atol=1e-6, err_msg=name)


def by_hand(params, stats, graph, x, y):
    """The loss with norm1 as in evaluation and norm2 as in training, layer after layer; and norm2's statistics."""
    model = nnx.merge(graph, params, stats)
    training = Mode(train=True, key=jax.random.key(0))
    h = jax.nn.relu(model.norm1(model.conv1(x), EVALUATION))
    h = jax.nn.relu(model.norm2(model.conv2(h), training))
    logits = model.head(h.reshape(len(h), -1))
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()
    return loss, (model.norm2.mean[...], model.norm2.var[...])


def test_a_frozen_part_computes_as_in_evaluation(small):
    before, after, x, y = first_step(small, SGD, "model.freeze=[norm1]")
    experiment = load(small, [NET])
    graph, *_ = split(build(experiment.model, x.shape[1:], 3, init=Initializer()))
    loss_of = jax.value_and_grad(by_hand, has_aux=True)
    (loss, (mean, var)), gradient = loss_of(before.params, before.stats, graph, jnp.asarray(x), jnp.asarray(y))
    assert float(after.sums["loss"]) / len(x) == pytest.approx(float(loss), rel=1e-5)
    np.testing.assert_allclose(after.stats["norm2"]["mean"], mean, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(after.stats["norm2"]["var"], var, rtol=1e-4, atol=1e-7)
    found, wanted = change(before.params, after.params), named_leaves(gradient)
    for name in KERNELS | {"norm2.scale", "norm2.bias"}:
        np.testing.assert_allclose(found[name], -wanted[name], rtol=1e-3, atol=1e-6, err_msg=name)
    assert not found["norm1.scale"].any()


def test_with_every_normalisation_frozen_training_sees_what_evaluation_sees(small):
    _, prepared, program = program_of(small, NET, PLAIN, 'model.freeze=["norm*"]')
    batch = training_batch(prepared, np.arange(prepared.counts["train"]), 0, 16)
    state = program.initial_state
    # Statistics that are not those of the batch, so that the two ways differ.
    state = state._replace(stats=jax.tree.map(lambda leaf: leaf + 0.5, state.stats))
    outcome = program.evaluate(state.params, state.stats, batch.x, batch.y)
    after = program.first.one(state, *batch)
    assert program.task.means(after.sums)["loss"] == pytest.approx(float(np.mean(outcome.values["loss"])), rel=1e-5)
    _, _, unfrozen = program_of(small, NET, PLAIN)
    fresh = unfrozen.initial_state
    fresh = fresh._replace(stats=jax.tree.map(lambda leaf: leaf + 0.5, fresh.stats))
    other = unfrozen.first.one(fresh, *batch)
    assert abs(program.task.means(other.sums)["loss"] - program.task.means(after.sums)["loss"]) > 1e-3


# ---------------------------------------------------------------- counts and sentences


def counted(small, *overrides) -> Trainable:
    experiment = load(small, [NET, *overrides])
    return trainable(experiment, build(experiment.model, (6, 6, 1), 3, init=Initializer()))


CONV1, CONV2, NORM, HEAD = 9 * 4, 4 * 9 * 4, 8, 6 * 6 * 4 * 3 + 3
TOTAL = CONV1 + CONV2 + 2 * NORM + HEAD


def test_counts_of_what_trains_and_what_does_not(small):
    assert counted(small) == Trainable(TOTAL, {}, None)
    found = counted(small, 'model.freeze=[conv1, "norm*", head.bias]', "model.unfreeze_at_epoch=2")
    assert found == Trainable(TOTAL - CONV1 - 2 * NORM - 3, {"conv1": CONV1, "norm*": 2 * NORM, "head.bias": 3}, 2)
    assert found.to_json() == {
        "trained": TOTAL - CONV1 - 2 * NORM - 3,
        "frozen": {"conv1": CONV1, "norm*": 2 * NORM, "head.bias": 3},
        "unfreeze_at_epoch": 2,
    }


def test_a_parameter_counts_once_for_the_first_pattern_that_names_it(small):
    found = counted(small, 'model.freeze=["*1", conv1, "*.bias"]')
    biases = 4 + 3  # of norm2 and the head
    assert dict(found.frozen) == {"*1": CONV1 + NORM, "conv1": 0, "*.bias": biases}
    assert found.trained + sum(found.frozen.values()) == TOTAL


def test_the_counts_are_those_of_the_mask(small):
    experiment = load(small, [NET, 'model.freeze=[conv1, "*.bias"]'])
    model = build(experiment.model, (6, 6, 1), 3, init=Initializer(0))
    _, params, _ = split(model)
    mask = named_leaves(frozen_mask(params, experiment.model.freeze))
    assert {name for name, still in mask.items() if still} == {
        "conv1.kernel", "norm1.bias", "norm2.bias", "head.bias",
    }  # fmt: skip
    frozen = sum(leaf.size for name, leaf in named_leaves(params).items() if mask[name])
    assert sum(trainable(experiment, model).frozen.values()) == frozen
    assert not any(named_leaves(frozen_mask(params, ())).values())


def test_statistics_are_held_layer_by_layer(small):
    model = build(load(small, [NET]).model, (6, 6, 1), 3, init=Initializer())
    hold_statistics(model, ("norm2", "norm1.scale"))
    assert (model.norm1.frozen, model.norm2.frozen) == (False, True)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("model.freeze=[conv1, norm3]",
         "model.freeze: 'norm3' matches no layer of the network; did you mean 'norm2'?"),
        ("model.freeze=[bn]",
         "model.freeze: 'bn' matches no layer of the network; its parts are conv1, conv2, head, norm1, norm2"),
        ("optimizer.layer_rates={haed: 10}",
         "optimizer.layer_rates: 'haed' matches no layer of the network; did you mean 'head'?"),
        ('model.freeze=["*"]', "model.freeze: nothing is left to train; leave the head out of it"),
        ('model.freeze=["conv*", "norm*", head]',
         "model.freeze: nothing is left to train; leave the head out of it"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_a_sentence(small, override, sentence):
    with pytest.raises(SpecError) as caught:
        counted(small, override)
    assert str(caught.value) == sentence


# ---------------------------------------------------------------- unfreezing

FREEZE = 'model.freeze=[conv1, "norm*"]'
AT_1 = "model.unfreeze_at_epoch=1"


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_frozen_parameters_and_statistics_keep_their_bits_and_from_the_given_epoch_on_all_train(small, optimizer):
    freeze = 'model.freeze=[conv1, "norm*", head.bias]'
    overrides = [freeze, "model.unfreeze_at_epoch=2", f"optimizer={optimizer}", "train.epochs=4"]
    before, after = ({"conv2.kernel", "head.kernel"}, set()), (KERNELS | NORMS, STATISTICS)
    assert moved_by_epoch(small, *overrides) == [before, before, after, after]


def test_the_epochs_before_are_those_of_a_frozen_training(small):
    states = []
    for overrides in ([FREEZE], [FREEZE, AT_1]):
        experiment, prepared, program = program_of(small, NET, *overrides, "train.epochs=2")
        first = next(
            event
            for event in fit(program, experiment, prepared, program.initial_state, 0, never)
            if isinstance(event, EpochEnd)
        )
        states.append(bits(first.state))
    assert states[0] == states[1]


def test_the_step_of_an_epoch(small):
    *_, program = program_of(small, NET, FREEZE, "model.unfreeze_at_epoch=2")
    assert [program.steps_of(epoch) is program.first for epoch in range(4)] == [True, True, False, False]
    assert program.steps_of(2) is program.unfrozen is program.steps_of(3)
    for overrides in ([FREEZE], []):
        *_, program = program_of(small, NET, *overrides)
        assert program.unfrozen is None
        assert program.steps_of(3) is program.first


def test_unfreezing_compiles_one_more_step_and_nothing_else(small):
    experiment, prepared, program = program_of(small, NET, FREEZE, "model.unfreeze_at_epoch=2", "train.epochs=4")
    events: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: events.append(name))
    compiled_by_epoch = []
    for event in fit(program, experiment, prepared, program.initial_state, 0, never):
        if isinstance(event, EpochEnd):
            compiled_by_epoch.append(events.count("/jax/core/compile/backend_compile_duration"))
    first = compiled_by_epoch[0]
    assert first > 0, "the listener hears compilations"
    assert compiled_by_epoch == [first, first, first + 1, first + 1]
    for function in (*form_used(program.first), *form_used(program.unfrozen), program.evaluate):
        assert function._cache_size() == 1  # type: ignore[attr-defined, union-attr]


def stopped_at(step: int, program, experiment, prepared) -> tuple[Any, int]:
    """The state after so many steps, and the epochs recorded by then.

    The loop asks before each of an epoch's four steps, and before both batches of validation behind them.
    """
    calls, epoch = iter(range(1000)), 0
    ask_number = step + 2 * (step // 4)
    with pytest.raises(Stopped) as stopped:  # noqa: PT012
        for row in epochs(program, experiment, prepared, program.initial_state, 0, lambda: next(calls) == ask_number):
            epoch = row["epoch"]
    assert (int(stopped.value.state.step), epoch) == (step, step // 4)
    return stopped.value.state, epoch


def test_stopping_on_either_side_of_the_boundary_and_going_on_gives_the_same_bits(small, monkeypatch):
    """Four steps make an epoch, and the second epoch trains all: stopped before it, at its start, inside it."""
    monkeypatch.setattr(loop, "DISPATCH_SECONDS", 0.0)
    experiment, prepared, program = program_of(small, NET, FREEZE, AT_1, "train.epochs=2")
    *_, whole = fit(program, experiment, prepared, program.initial_state, 0, never)
    *_, again = program_of(small, NET, FREEZE, AT_1, "train.epochs=2")  # another process has nothing compiled
    for step in (7, 5, 4, 2):
        state, epoch = stopped_at(step, program, experiment, prepared)
        *_, resumed = fit(again, experiment, prepared, state, epoch, never)
        assert bits(resumed.state) == bits(whole.state), step


def run_to_the_boundary(small, *overrides):
    """The program, its state after the one frozen epoch (4 steps), and a batch."""
    experiment, prepared, program = program_of(small, NET, PLAIN, FREEZE, AT_1, "train.epochs=2", *overrides)
    first = next(
        event
        for event in fit(program, experiment, prepared, program.initial_state, 0, never)
        if isinstance(event, EpochEnd)
    )
    batch = training_batch(prepared, np.arange(prepared.counts["train"]), 0, 16)
    return program, first.state, batch


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_begins_anew_and_takes_the_rate_at_most(small, name):
    """Kingma and Ba 2015, section 2.1: a first step is the rate in every weight, whatever the gradient."""
    decay = "weight_decay: 0.0" if name == "adamw" else "weight_decay: 0.1"
    optimizer = (
        f"optimizer={{name: {name}, learning_rate: {{schedule: constant, peak: 0.01, warmup_epochs: 0}}, {decay}}}"
    )
    program, state, batch = run_to_the_boundary(small, optimizer)
    before = on_host(state)
    after = program.steps_of(1).one(state, *batch)
    delta = change(before.params, after.params)
    largest = max(float(np.abs(leaf).max()) for leaf in delta.values())
    assert largest == pytest.approx(0.01, rel=1e-3)


def test_weight_decay_gathers_no_momentum_while_frozen(small):
    """The first step after is the gradient with its decay, as for weights that were never frozen."""
    rate = "learning_rate: {schedule: constant, peak: 0.01, warmup_epochs: 0}, weight_decay: 0.5"
    found = {}
    for name in ("momentum", "sgd"):
        program, state, batch = run_to_the_boundary(
            small, f"optimizer={{name: {name}, {rate}}}", "model.freeze=[conv1]"
        )
        fresh = program.initial_state
        state = state._replace(params=fresh.params, stats=fresh.stats)  # the two have trained apart
        before = on_host(state)
        found[name] = change(before.params, program.steps_of(1).one(state, *batch).params)
    for leaf, delta in found["sgd"].items():
        np.testing.assert_allclose(found["momentum"][leaf], delta, rtol=1e-4, atol=1e-7, err_msg=leaf)


def test_the_schedule_goes_on_where_the_optimizer_begins_anew(small):
    """With sgd the change is the gradient times the rate: that of step 4 of 8, not of step 0."""
    rates = {}
    for schedule in ("constant", "cosine"):
        warmup = f"learning_rate: {{schedule: {schedule}, peak: 0.1, warmup_epochs: 0}}"
        program, state, batch = run_to_the_boundary(small, f"optimizer={{name: sgd, {warmup}}}")
        fresh = program.initial_state
        state = state._replace(params=fresh.params, stats=fresh.stats)
        before = on_host(state)
        delta = change(before.params, program.steps_of(1).one(state, *batch).params)
        rates[schedule] = delta["head.bias"], float(program.rate(np.int32(4)))
    factor = rates["cosine"][1] / rates["constant"][1]
    assert factor == pytest.approx((1 + np.cos(np.pi * 5 / 8)) / 2)
    np.testing.assert_allclose(rates["cosine"][0], factor * rates["constant"][0], rtol=1e-4)


# ---------------------------------------------------------------- rates of their own


def test_a_rate_of_0_keeps_parameters_still_and_lets_statistics_move(small):
    rates = "optimizer.layer_rates={conv1: 0, norm1: 0, head.bias: 0}"
    kept = {"conv1.kernel", "norm1.scale", "norm1.bias", "head.bias"}
    assert moved_by_epoch(small, rates, "train.epochs=1") == [((KERNELS | NORMS) - kept, STATISTICS)]


def test_a_rate_of_its_own_scales_the_change_and_the_last_match_counts(small):
    before, after, *_ = first_step(small, SGD)
    plain = change(before.params, after.params)
    rates = 'optimizer.layer_rates={"*": 0.5, "conv*": 0.25, conv2.kernel: 3}'
    before, after, *_ = first_step(small, SGD, rates)
    factors = {"conv1.kernel": 0.25, "conv2.kernel": 3.0}
    for name, delta in change(before.params, after.params).items():
        np.testing.assert_allclose(delta, factors.get(name, 0.5) * plain[name], rtol=1e-3, atol=1e-6, err_msg=name)


def test_training_with_rates_of_their_own_goes_on_to_the_same_bits(small, monkeypatch):
    monkeypatch.setattr(loop, "DISPATCH_SECONDS", 0.0)
    overrides = [NET, 'optimizer.layer_rates={"conv*": 0.1, head: 2}', "train.epochs=2"]
    experiment, prepared, program = program_of(small, *overrides)
    *_, whole = fit(program, experiment, prepared, program.initial_state, 0, never)
    for step in (2, 6):
        state, epoch = stopped_at(step, program, experiment, prepared)
        *_, resumed = fit(program, experiment, prepared, state, epoch, never)
        assert bits(resumed.state) == bits(whole.state), step
