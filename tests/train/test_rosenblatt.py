"""The perceptron's rule against a loop, and what the theorems say of it."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.data.batches import order
from cnnlab.errors import SpecError
from cnnlab.spec.train import EarlyStopping
from cnnlab.train import loop
from cnnlab.train.loop import EpochEnd, Stopped, fit
from cnnlab.train.rosenblatt import learnt
from cnnlab.train.stopping import ending, is_over, watched
from tests.train.test_step import bits, never, program_of

LEARNT = jax.jit(learnt)
SPEC = """\
task: perceptron
data: {{source: npz, path: {path}, split: {{train: 0.8, validation: 0.1, test: 0.1}}, batch_size: 16, normalize: false}}
model: {{name: perceptron}}
train: {{epochs: {epochs}}}
"""


def loop_of(kernel, bias, x, y, rate):
    """Rosenblatt's rule as it is written in books, example by example. Weights after, and the number of errors."""
    kernel, bias, errors = kernel.copy(), bias.copy(), 0
    for inputs, true in zip(x, y, strict=True):
        scores = inputs @ kernel + bias
        if len(bias) == 1:
            said = int(scores[0] > 0)
            if said != true:
                sign = 1 if true == 1 else -1
                kernel[:, 0] += rate * sign * inputs
                bias[0] += rate * sign
        else:
            said = int(np.argmax(scores))
            if said != true:
                kernel[:, true] += rate * inputs
                kernel[:, said] -= rate * inputs
                bias[true] += rate
                bias[said] -= rate
        errors += said != true
    return kernel, bias, errors


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 3]), st.sampled_from([1.0, 0.5, 4.0]))
def test_the_rule_is_that_of_a_plain_loop_bit_by_bit(seed, units, rate):
    """Inputs are small whole numbers, so that no sum is rounded, whatever its order."""
    random = np.random.default_rng(seed)
    x = random.integers(-3, 4, (12, 4)).astype(np.float32)
    y = random.integers(0, max(units, 2), 12).astype(np.int32)
    kernel, bias = (random.integers(-2, 3, shape).astype(np.float32) for shape in ((4, units), (units,)))
    mask = random.random(12) < 0.8
    layer, scores = LEARNT({"kernel": kernel, "bias": bias}, x, y, mask, rate)
    expected = loop_of(kernel, bias, x[mask], y[mask], np.float32(rate))
    np.testing.assert_array_equal(layer["kernel"], expected[0])
    np.testing.assert_array_equal(layer["bias"], expected[1])
    said = np.asarray(scores)[:, 0] > 0 if units == 1 else np.asarray(scores).argmax(1)
    assert int((said != y)[mask].sum()) == expected[2]


def test_a_layer_without_a_threshold_stays_without_one():
    x = jnp.array([[1.0, 2.0], [2.0, 0.0]])
    layer, _ = LEARNT({"kernel": jnp.zeros((2, 1))}, x, jnp.array([1, 0]), jnp.array([True, True]), 1.0)
    assert set(layer) == {"kernel"}
    np.testing.assert_array_equal(layer["kernel"], [[-1.0], [2.0]])  # up by the first, down by the second


def written(tmp_path: Path, x: np.ndarray, y: np.ndarray, epochs: int) -> Path:
    np.savez(tmp_path / "points.npz", x=x.astype(np.float32), y=y)
    spec = tmp_path / "points.yaml"
    spec.write_text(SPEC.format(path=tmp_path / "points.npz", epochs=epochs))
    return spec


def separable(classes: int, examples: int = 110) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers, in classes by the largest of whole-numbered scores, none of them near a border."""
    random = np.random.default_rng(1)
    x = random.permutation(np.stack(np.meshgrid(*[np.arange(-12, 13)] * 2), -1).reshape(-1, 2))
    directions = np.array([[2, 1], [-2, -1]] if classes == 2 else [[0, 4], [4, -2], [-4, -2]])
    scores = np.sort(x @ directions.T, 1)
    x = x[scores[:, -1] - scores[:, -2] >= 12][:examples]
    return x, (x @ directions.T).argmax(1)


def trained(spec: Path, *overrides: str):
    """The rows of a training that ends where it is over, the last state, and what it was of."""
    experiment, prepared, program = program_of(spec, *overrides)
    stopping, rows, state = experiment.train.early_stopping, [], program.initial_state
    assert isinstance(stopping, EarlyStopping)
    for event in fit(program, experiment, prepared, program.initial_state, 0, never):
        if isinstance(event, EpochEnd):
            rows.append(event.row)
            state = event.state
            if is_over(rows, stopping):
                break
    return rows, state, prepared, experiment


@pytest.mark.parametrize("classes", [2, 3])
def test_epochs_are_those_of_a_plain_loop_and_end_where_there_is_no_error(tmp_path, classes):
    """The last of an epoch's steps is padded."""
    x, y = separable(classes)
    rows, state, prepared, experiment = trained(written(tmp_path, x, y, 200))
    train = prepared.splits["train"]
    assert len(train) % 16
    kernel, bias = np.zeros((2, classes if classes > 2 else 1), np.float32), np.zeros(classes if classes > 2 else 1)
    for epoch, row in enumerate(rows):
        places = train[order(0, epoch, len(train))]
        dataset = prepared.dataset
        kernel, bias, errors = loop_of(kernel, bias, dataset.x[places].reshape(len(places), -1), dataset.y[places], 1)
        assert row["train/errors"] == errors
        assert row["train/accuracy"] == 1 - errors / len(train)
    assert len(rows) < 200
    assert rows[-1]["train/errors"] == 0
    np.testing.assert_array_equal(state.params["head"]["kernel"], kernel)
    np.testing.assert_array_equal(state.params["head"]["bias"], bias)
    total = sum(row["train/errors"] for row in rows)
    reason = ending(rows, watched(experiment.train, has_validation=True), 200)
    assert reason == f"converged after epoch {len(rows)}, {total} errors in all"


def test_errors_stay_below_the_bound_of_the_theorem(tmp_path):
    """Novikoff 1962: at most (R / gamma)^2 errors from weights of 0, for any unit vector that separates by gamma."""
    x, y = separable(2)
    rows, _, prepared, _ = trained(written(tmp_path, x, y, 200))
    train = prepared.splits["train"]
    inputs = np.c_[prepared.dataset.x[train].reshape(len(train), -1), np.ones(len(train))]
    direction = np.array([-2, -1, 0]) / np.sqrt(5)
    sides = np.where(prepared.dataset.y[train] == 1, 1, -1) * (inputs @ direction)
    assert sides.min() > 0
    bound = (np.linalg.norm(inputs, axis=1).max() / sides.min()) ** 2
    assert 0 < sum(row["train/errors"] for row in rows) <= bound


def test_what_no_line_separates_is_never_learnt_and_the_weights_stay_small(tmp_path):
    """Exclusive or: no epoch is without an error, and the weights stay bounded (the cycling theorem)."""
    corners = np.array([[-4, -4], [4, 4], [-4, 4], [4, -4]])
    random = np.random.default_rng(0)
    y = np.arange(80) // 2 % 2
    x = corners[np.arange(80) % 4] + random.integers(-1, 2, (80, 2))
    rows, state, _, experiment = trained(written(tmp_path, x, y, 12))
    assert len(rows) == 12
    assert min(row["train/errors"] for row in rows) > 0
    assert float(jnp.abs(state.params["head"]["kernel"]).max()) < 50
    total = sum(row["train/errors"] for row in rows)
    reason = ending(rows, watched(experiment.train, has_validation=True), 12)
    last = rows[-1]["train/errors"]
    assert reason == f"not converged: {last} errors in epoch 12, the last one, {total} errors in all"


@pytest.mark.parametrize("stop_at", [0, 3, 6, 7])
def test_stopping_anywhere_and_going_on_gives_the_same_bits(tmp_path, stop_at, monkeypatch):
    monkeypatch.setattr(loop, "DISPATCH_SECONDS", 0.0)
    x, y = separable(3)
    spec = written(tmp_path, x + 0.37, y, 2)
    experiment, prepared, program = program_of(spec)
    *_, whole = fit(program, experiment, prepared, program.initial_state, 0, never)
    steps, batches = program.steps_per_epoch, -(-prepared.counts["validation"] // 16)
    calls = iter(range(1000))
    at = stop_at + batches * (stop_at // steps) * (stop_at != steps)
    with pytest.raises(Stopped) as stopped:
        list(fit(program, experiment, prepared, program.initial_state, 0, lambda: next(calls) == at))
    assert int(stopped.value.state.step) == stop_at
    epoch = 1 if stop_at > steps else 0
    *_, resumed = fit(program, experiment, prepared, stopped.value.state, epoch, never)
    assert isinstance(whole, EpochEnd)
    assert isinstance(resumed, EpochEnd)
    assert bits(resumed.state) == bits(whole.state)


def test_a_batch_of_one_teaches_what_a_batch_of_many_does(tmp_path):
    x, y = separable(2, 40)
    spec = written(tmp_path, x, y, 3)
    kernels = [trained(spec, f"data.batch_size={size}")[1].params["head"]["kernel"] for size in (1, 32)]
    np.testing.assert_array_equal(*kernels)


def test_the_loss_has_to_be_the_criterion(tmp_path):
    x, y = separable(2, 40)
    with pytest.raises(SpecError, match=r"loss\.name: hinge is no loss of perceptron"):
        program_of(written(tmp_path, x, y, 2), "loss=hinge")
