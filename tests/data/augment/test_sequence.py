"""All entries together: their order, one key an example, and the same bits whatever the batch."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.data.augment import Sample, augment, centre_crop, example_keys, scale
from cnnlab.data.augment.affine import move
from cnnlab.data.augment.crop import random_crop
from cnnlab.data.augment.noise import noise
from cnnlab.data.augment.sample import split
from cnnlab.spec.augment import Augmentation

STD = np.array([0.3, 0.2, 0.1], np.float32)


def entries(*given: dict) -> tuple[Augmentation, ...]:
    return tuple(Augmentation.model_validate(entry) for entry in given)


ALL = entries(
    {"shift": 2},
    {"flip": "horizontal"},
    {"random_crop": {"size": [9, 10], "padding": 1}},
    {"rotate": 15},
    {"scale": 1.2},
    {"shear": 5},
    {"random_resized_crop": 8},
    {"brightness": 0.3},
    {"contrast": 0.3},
    {"saturation": {"strength": 0.3, "probability": 0.5}},
    {"hue": 0.1},
    {"blur": 1},
    {"cutout": 2},
    {"noise": 0.1},
    {"rand_augment": {"number": 1}},
    {"mixup": 0.2},
)


def examples(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, *shape), np.float32)


@partial(jax.jit, static_argnums=0)
def augmented(given: tuple[Augmentation, ...], sample: Sample, epoch, index) -> Sample:
    return augment(sample, example_keys(7, epoch, index), given, STD)


def test_scale():
    found = scale(jnp.arange(256, dtype=jnp.uint8))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, np.arange(256) / 255, rtol=1e-7)
    x = examples(3, 2)
    np.testing.assert_array_equal(scale(jnp.asarray(x)), x)


def test_neighbours_that_map_space_are_one_and_the_rest_goes_in_order():
    x = examples(5, 10, 11, 3)
    given = entries({"rotate": 15}, {"shift": 2}, {"random_crop": 8}, {"flip": "horizontal"}, {"noise": 0.1})
    keys = example_keys(7, 3, jnp.arange(5))
    own = list(split(keys, 5))
    sample = move(Sample(jnp.asarray(x)), own[:2], given[:2])
    sample = move(random_crop(sample, own[2], (8, 8), 0), own[3:4], given[3:4])
    found = augmented(given, Sample(x), 3, np.arange(5))
    np.testing.assert_allclose(found.x, noise(sample.x, own[4], 0.1, STD), atol=1e-5)
    again = augmented(given, Sample(x), 4, np.arange(5))
    assert np.abs(np.asarray(again.x) - np.asarray(found.x)).max() > 0.1


def test_every_entry_after_the_other():
    boxes = np.tile(np.array([[[2, 2, 9, 9, 1], [-1] * 5]], np.float32), (6, 1, 1))
    sample = Sample(examples(6, 12, 12, 3), np.ones((6, 12, 12), np.uint8), boxes)
    found = augmented(ALL, sample, 0, np.arange(6))
    assert found.x.shape == (6, 8, 8, 3)
    assert found.x.dtype == jnp.float32
    assert found.mask is not None
    assert found.mask.shape == (6, 8, 8)
    assert set(np.unique(found.mask)) <= {1, 255}, "ids stay ids"
    assert found.boxes is not None
    assert found.boxes.shape == (6, 2, 5)
    assert (np.asarray(found.boxes)[:, 1] == -1).all()
    assert np.isfinite(found.x).all()


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_a_batch_changes_no_bit(turned):
    x, mask = examples(6, 12, 12, 3), np.random.default_rng(1).integers(0, 4, (6, 12, 12), np.uint8)
    boxes = np.random.default_rng(2).permutation(np.repeat(np.arange(6, dtype=np.float32), 10)).reshape(6, 2, 5)
    index, turned = np.array([3, 1, 4, 15, 9, 26]), list(turned)
    found = augmented(ALL, Sample(x, mask, boxes), 2, index)
    other = augmented(ALL, Sample(x[turned], mask[turned], boxes[turned]), 2, index[turned])
    for part, turned_part in zip(found, other, strict=True):
        np.testing.assert_array_equal(np.asarray(part)[turned], turned_part)


def test_the_size_of_a_batch_draws_nothing_else():
    """The same draws; sums inside may be added up in another order."""
    x, index = examples(8, 12, 12, 3), np.arange(8) + 100
    given = entries({"rotate": 15}, {"contrast": 0.3}, {"noise": 0.1})
    whole = augmented(given, Sample(x), 1, index)
    parts = [augmented(given, Sample(x[i : i + 4]), 1, index[i : i + 4]) for i in (0, 4)]
    np.testing.assert_allclose(whole.x, np.concatenate([part.x for part in parts]), atol=1e-5)


def test_keys_are_of_seed_epoch_and_place():
    def data(seed, epoch, *index):
        return np.asarray(jax.random.key_data(example_keys(seed, epoch, jnp.array(index))))

    first = data(0, 0, 5, 6)
    np.testing.assert_array_equal(first[::-1], data(0, 0, 6, 5))
    everything = np.concatenate([data(s, e, *range(50)) for s in (0, 1) for e in range(20)])
    assert len(np.unique(everything, axis=0)) == 2000
    steps = [jax.random.fold_in(jax.random.key(0), step) for step in range(100)]  # what training draws from
    used = np.concatenate([jax.random.key_data(jnp.stack([step, *jax.random.split(step)])) for step in steps])
    assert len(np.unique(np.concatenate([everything, used]), axis=0)) == 2300


def test_nothing_to_do():
    x = examples(2, 3, 3, 3)
    np.testing.assert_array_equal(augmented((), Sample(x), 0, np.arange(2)).x, x)
    assert centre_crop(Sample(jnp.asarray(x)), (3, 3)).x.shape == (2, 3, 3, 3)


def test_vectors():
    found = augmented(entries({"noise": 0.1}, {"mixup": 0.2}), Sample(examples(4, 3)), 0, np.arange(4))
    assert found.x.shape == (4, 3)
