"""Augmentation against SciPy and plain loops; the draws by their distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from cnnlab.data.augment import (
    augment,
    check_augmentations,
    flip,
    noise,
    rotate,
    rotate_by,
    scale,
    shift,
    shift_by,
)
from cnnlab.errors import SpecError
from cnnlab.spec.augment import Augmentation

KEY = jax.random.key(0)


def examples(*shape) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32)


def test_scale():
    found = scale(jnp.arange(256, dtype=jnp.uint8))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, np.arange(256) / 255, rtol=1e-7)
    x = examples(3, 2)
    np.testing.assert_array_equal(scale(jnp.asarray(x)), x)


# ---------------------------------------------------------------- shift


@pytest.mark.parametrize("spatial", [(9,), (7, 8), (5, 4, 6)])
def test_shift_by_as_scipy(spatial):
    x = examples(6, *spatial, 2)
    offsets = np.random.default_rng(1).integers(-3, 4, (6, len(spatial)))
    expected = [ndimage.shift(image, (*offset, 0), order=0) for image, offset in zip(x, offsets, strict=True)]
    np.testing.assert_array_equal(jax.jit(shift_by, static_argnums=2)(x, offsets, 3), expected)


def test_shift_draws_every_offset_alike_and_for_each_example():
    x = np.zeros((3000, 9, 9, 1), np.float32)
    x[:, 4, 4] = 1
    found = np.asarray(jax.jit(shift, static_argnums=2)(x, KEY, 2))[..., 0]
    where = np.argwhere(found)
    assert (where[:, 0] == np.arange(3000)).all()
    counts = np.zeros((9, 9))
    np.add.at(counts, (where[:, 1], where[:, 2]), 1)
    assert counts[2:7, 2:7].sum() == 3000
    assert np.abs(counts[2:7, 2:7] - 120).max() < 55  # 5 standard deviations of 3000 draws of 1/25


def test_shift_of_nothing():
    x = examples(2, 4, 4, 1)
    np.testing.assert_array_equal(shift(x, KEY, 0), x)


# ---------------------------------------------------------------- rotate


@pytest.mark.parametrize("shape", [(8, 8, 1), (7, 10, 3), (9, 4, 2)])
def test_rotate_by_as_scipy(shape):
    angles = np.array([0, 10, -25, 45, 90, -180, 133.7], np.float32)
    x = examples(len(angles), *shape)
    expected = [
        ndimage.rotate(image, angle, axes=(0, 1), reshape=False, order=1, mode="grid-constant")
        for image, angle in zip(x, angles, strict=True)
    ]
    np.testing.assert_allclose(jax.jit(rotate_by)(x, angles), expected, atol=2e-5)


def test_rotate_by_quarter_turns():
    x = examples(1, 6, 6, 1)
    np.testing.assert_allclose(rotate_by(x, jnp.array([90.0]))[0], np.rot90(x[0]), atol=1e-5)


def test_rotate_draws_an_angle_for_each_example():
    height = width = 41
    x = np.zeros((500, height, width, 1), np.float32)
    x[:, 20, 35] = 1  # 15 to the right of the centre
    found = np.asarray(jax.jit(rotate, static_argnums=2)(x, KEY, 30.0))[..., 0]
    rows, columns = (np.arange(41) - 20.0,) * 2
    mass = found.sum((1, 2))
    row, column = (found.sum(2) @ rows) / mass, (found.sum(1) @ columns) / mass
    angles = np.rad2deg(np.arctan2(-row, column))
    assert -30.5 < angles.min() < -28
    assert 28 < angles.max() < 30.5
    assert np.histogram(angles, 6, (-30.5, 30.5))[0].min() > 45  # a sixth of 500 is 83, its deviation 8


# ---------------------------------------------------------------- flip


@pytest.mark.parametrize(
    ("axes", "choices"),
    [
        ("horizontal", [lambda image: image, lambda image: image[:, ::-1]]),
        ("vertical", [lambda image: image, lambda image: image[::-1]]),
        (
            "both",
            [
                lambda image: image,
                lambda image: image[::-1],
                lambda image: image[:, ::-1],
                lambda image: image[::-1, ::-1],
            ],
        ),
    ],
)
def test_flip_of_each_example_alike(axes, choices):
    x = examples(800, 3, 4, 2)
    found = np.asarray(jax.jit(flip, static_argnums=2)(x, KEY, axes))
    same = np.array([[np.array_equal(b, choice(a)) for choice in choices] for a, b in zip(x, found, strict=True)])
    assert (same.sum(1) == 1).all()
    assert np.abs(same.mean(0) - 1 / len(choices)).max() < 0.09  # 5 standard deviations of 800 draws


def test_flip_of_lines_and_volumes():
    line, volume = examples(64, 5, 1), examples(64, 3, 4, 5, 1)
    found = np.asarray(flip(line, KEY, "horizontal"))
    same = [np.array_equal(a, b) for a, b in zip(line, found, strict=True)]
    back = [np.array_equal(a[::-1], b) for a, b in zip(line, found, strict=True)]
    assert sorted(set(zip(same, back, strict=True))) == [(False, True), (True, False)]
    found = np.asarray(flip(volume, KEY, "horizontal"))
    assert all(np.array_equal(b, a) or np.array_equal(b, a[:, :, ::-1]) for a, b in zip(volume, found, strict=True))


# ---------------------------------------------------------------- noise


def test_noise_in_deviations_of_the_data():
    x = examples(400, 8, 8, 2)
    std = np.array([0.5, 2], np.float32)
    added = np.asarray(jax.jit(noise)(x, KEY, 0.1, std)) - x
    np.testing.assert_allclose(added.std((0, 1, 2)), [0.05, 0.2], rtol=0.03)
    np.testing.assert_allclose(added.mean((0, 1, 2)), 0, atol=0.005)
    assert abs(np.corrcoef(added[0].ravel(), added[1].ravel())[0, 1]) < 0.4


# ---------------------------------------------------------------- all together


def test_augment_in_the_order_of_the_spec():
    x = examples(5, 8, 8, 1)
    entries = (
        Augmentation(shift=2),
        Augmentation(rotate=15.0),
        Augmentation(flip="horizontal"),
        Augmentation(noise=0.1),
        Augmentation(shift=2),
    )
    std = np.array([0.3], np.float32)

    @jax.jit
    def one_by_one(x):
        keys = [jax.random.fold_in(KEY, i) for i in range(5)]
        x = rotate(shift(x, keys[0], 2), keys[1], 15.0)
        x = noise(flip(x, keys[2], "horizontal"), keys[3], 0.1, std)
        return shift(x, keys[4], 2)

    augmented = jax.jit(lambda x, key: augment(x, key, entries, std))
    found = augmented(x, KEY)
    np.testing.assert_allclose(found, one_by_one(x), atol=1e-5)
    again = augmented(x, jax.random.key(1))
    assert np.abs(np.asarray(again) - np.asarray(found)).max() > 0.1


def test_augment_with_nothing():
    x = examples(2, 3, 3, 1)
    np.testing.assert_array_equal(augment(x, KEY, (), np.ones(1)), x)


# ---------------------------------------------------------------- checks


def test_augmentations_that_fit():
    entries = (Augmentation(shift=7), Augmentation(rotate=10.0), Augmentation(flip="both"), Augmentation(noise=0.1))
    check_augmentations(entries, (8, 9))
    check_augmentations((Augmentation(shift=3), Augmentation(flip="horizontal")), (4,))
    check_augmentations((Augmentation(flip="both"),), (4, 4, 4))
    check_augmentations((Augmentation(noise=0.1),), ())


@pytest.mark.parametrize(
    ("entry", "spatial", "message"),
    [
        ({"shift": 8}, (9, 8), r"shift: 8, and the examples are 9 x 8: nothing may be left of them; at most 7"),
        ({"shift": 1}, (), r"shift, and the examples are vectors, which have no spatial axis; only noise"),
        ({"flip": "horizontal"}, (), r"flip, and the examples are vectors"),
        ({"rotate": 5.0}, (), r"rotate, and the examples are vectors"),
        ({"rotate": 5.0}, (9,), r"rotate, and the examples have 1 spatial axes \(9\); rotate turns images"),
        ({"rotate": 5.0}, (4, 5, 6), r"rotate, and the examples have 3 spatial axes \(4 x 5 x 6\)"),
        ({"flip": "vertical"}, (9,), r"flip: vertical, and the examples have one spatial axis \(9\); flip: horizontal"),
        ({"flip": "both"}, (9,), r"flip: both, and the examples have one spatial axis"),
    ],
)
def test_augmentations_that_do_not_fit(entry, spatial, message):
    with pytest.raises(SpecError, match=message):
        check_augmentations((Augmentation(noise=0.1), Augmentation(**entry)), spatial)
