"""What training makes of a batch: targets move along, mixtures reach the loss, evaluation sees the centre."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.data.augment import Sample, augment, centre_crop, example_keys, mix
from cnnlab.data.batches import training_batch
from cnnlab.data.prepare import prepare
from cnnlab.spec.load import load
from cnnlab.train.augmented import augmented
from cnnlab.train.evaluate import evaluate
from cnnlab.train.step import Examples, Sizes, compile_program

LINEAR = ("model.layers=[flatten, dense: classes]", "data.normalize=false", "optimizer={name: sgd, learning_rate: 0.5}")


def sizes_of(spec: Path, *overrides: str):
    experiment = load(spec, list(overrides))
    prepared = prepare(experiment.data, Path(), experiment.seed)
    return experiment, prepared, Sizes.of(experiment, prepared)


@pytest.mark.parametrize("entries", ["[mixup: 1]", "[random_crop: 4, noise: 0.1, {mixup: 1}, {cutmix: 1}]"])
def test_one_step_on_mixtures_against_numpy(small, entries):
    """Softmax regression: the gradient is x (p - w onehot - (1 - w) onehot of the partner) / n."""
    crop = ["data.crop=4"] if "crop" in entries else []
    experiment, prepared, sizes = sizes_of(small, *LINEAR, f"data.augment={entries}", *crop)
    program = compile_program(experiment, sizes)
    batch = training_batch(prepared, np.arange(prepared.counts["train"]), 0, 16)

    @jax.jit
    def mixed(x, index):
        keys = example_keys(0, 0, index)
        sample = augment(Sample(x / 255), keys, experiment.data.augment, prepared.std)
        return mix(sample.x, keys, experiment.data.augment)

    mixture = mixed(batch.x, batch.index)
    x = np.asarray(mixture.x, np.float64).reshape(16, -1)
    assert 0.1 < np.asarray(mixture.weight).mean() < 0.9
    weight = np.asarray(mixture.weight, np.float64)[:, None]
    wanted = weight * np.eye(3)[batch.y] + (1 - weight) * np.eye(3)[batch.y[mixture.partner]]
    layer = program.initial_state.params["dense_1"]
    kernel, bias = (np.asarray(layer[name], np.float64) for name in ("kernel", "bias"))
    logits = x @ kernel + bias
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    state = program.first.one(program.initial_state, *batch)
    np.testing.assert_allclose(state.params["dense_1"]["kernel"], kernel - 0.5 * x.T @ (p - wanted) / 16, atol=1e-6)
    loss = -(wanted * np.log(p)).sum(1).mean()
    assert program.task.means(state.sums)["loss"] == pytest.approx(loss, abs=1e-5)


@pytest.mark.parametrize("target", ["mask", "boxes"])
def test_masks_and_boxes_move_with_their_images(small, target):
    experiment, prepared, sizes = sizes_of(small, "data.augment=[shift: 1, flip: horizontal]", "data.crop=[5, 4]")
    targets = {
        "mask": np.random.default_rng(0).integers(0, 3, (4, 6, 6), np.uint8),
        "boxes": np.tile(np.array([[[1, 2, 5, 5, 1]]], np.float32), (4, 1, 1)),
    }
    sizes = replace(sizes, task=type("Task", (), {"target": target})())
    x, index = prepared.dataset.x[:4], np.arange(4)
    found = jax.jit(partial(augmented, experiment, sizes))(jnp.int32(3), x, targets[target], index)
    sample = Sample(jnp.asarray(x) / 255, **{target: jnp.asarray(targets[target])})
    keys = example_keys(0, 3, index)
    moved = jax.jit(lambda sample: augment(sample, keys, experiment.data.augment, prepared.std))(sample)
    expected = centre_crop(moved, (5, 4))
    np.testing.assert_allclose(found.x, (expected.x - prepared.mean) / prepared.std, atol=1e-5)
    np.testing.assert_array_equal(found.y, getattr(expected, target))
    assert found.partner is None


def test_both_forms_of_a_step_draw_the_same_by_epoch_and_place(small):
    """The second epoch's first step, from the host and on the device."""
    experiment, prepared, sizes = sizes_of(small, *LINEAR, "train.epochs=2")
    program = compile_program(experiment, sizes)
    order = np.arange(prepared.counts["train"])
    batch = training_batch(prepared, order, 0, 16)
    places, mask = (np.tile(values, (program.steps_per_epoch, 1)) for values in (batch.index, batch.mask))
    whole = Examples(jnp.asarray(prepared.dataset.x), jnp.asarray(prepared.dataset.y))
    later = [program.initial_state._replace(step=jnp.int32(program.steps_per_epoch)) for _ in range(2)]
    one = program.first.one(later[0], *batch)
    many = program.first.many(later[1], whole, places, mask, 1)
    first = program.first.one(program.initial_state, *batch)
    kernels = [np.asarray(state.params["dense_1"]["kernel"]) for state in (one, many, first)]
    np.testing.assert_allclose(kernels[0], kernels[1], atol=1e-7)
    assert np.abs(kernels[0] - kernels[2]).max() > 1e-5


def test_evaluation_sees_the_centre(small):
    experiment, prepared, sizes = sizes_of(small, *LINEAR, "data.crop=4", "data.augment=[random_crop: 4]")
    assert prepared.input_shape == (4, 4, 1)
    program = compile_program(experiment, sizes)
    state = program.initial_state
    found = evaluate(program, state.params, state.stats, prepared, "test", 16)
    layer = jax.tree.map(np.asarray, state.params["dense_1"])
    x = prepared.dataset.x[prepared.splits["test"], 1:5, 1:5].reshape(-1, 16) / 255
    logits = x @ layer["kernel"] + layer["bias"]
    logits -= logits.max(1, keepdims=True)
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(x)), prepared.dataset.y[prepared.splits["test"]]]
    np.testing.assert_allclose(found.values["loss"], losses, atol=1e-5)
