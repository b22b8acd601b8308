"""Maps of space against SciPy; what image, mask and boxes do together; the draws by their distribution."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cnnlab.data.augment import Sample
from cnnlab.data.augment import affine as maps
from cnnlab.data.augment.affine import about, move, scaled, sheared, shifted, turned, turned_by
from cnnlab.data.augment.sample import split
from cnnlab.spec.augment import Augmentation

resampled = jax.jit(maps.resampled)  # as one program: operation by operation takes a second for each new shape


def examples(*shape) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32)


@partial(jax.jit, static_argnums=1)
def drawn(sample: Sample, given: tuple[Augmentation, ...], seed) -> Sample:
    key = jax.random.key(seed)
    return move(sample, list(split(jax.random.split(key, len(sample.x)), len(given))), given)


def moved(x, *given: dict, mask=None, boxes=None, seed=0) -> Sample:
    return drawn(Sample(x, mask, boxes), tuple(Augmentation(**entry) for entry in given), np.uint32(seed))


def affine_as_scipy(image: np.ndarray, back: np.ndarray, offset: np.ndarray, *, order: int, fill: int) -> np.ndarray:
    """image [*spatial], `back` and `offset` from the new place to the old one, both from the middle."""
    middle = (np.array(image.shape) - 1) / 2
    return ndimage.affine_transform(
        image, back, middle - back @ middle + offset, order=order, mode="grid-constant", cval=fill
    )


# ---------------------------------------------------------------- one map


@pytest.mark.parametrize("shape", [(8, 8, 1), (7, 10, 3), (9, 4, 2)])
def test_turned_as_scipy(shape):
    angles = jnp.array([0, 10, -25, 45, 90, -180, 133.7])
    x = examples(len(angles), *shape)
    expected = [
        ndimage.rotate(image, float(angle), axes=(0, 1), reshape=False, order=1, mode="grid-constant")
        for image, angle in zip(x, angles, strict=True)
    ]
    found = resampled(Sample(jnp.asarray(x)), turned_by(angles))
    np.testing.assert_allclose(found.x, expected, atol=2e-5)


def test_a_quarter_turn_is_numpys():
    x = examples(1, 6, 6, 1)
    found = resampled(Sample(jnp.asarray(x)), turned_by(jnp.array([90.0])))
    np.testing.assert_allclose(found.x[0], np.rot90(x[0]), atol=1e-5)


@pytest.mark.parametrize("spatial", [(9,), (7, 8), (5, 4, 6)])
def test_maps_one_after_the_other_are_one_of_scipys(spatial):
    """Scaled, sheared, shifted: the matrices are multiplied here in NumPy, in float64."""
    axes, random = len(spatial), np.random.default_rng(1)
    x, mask = examples(4, *spatial, 2), random.integers(0, 5, (4, *spatial), np.uint8)
    factors, offsets = random.uniform(0.7, 1.5, 4), random.uniform(-2, 2, (4, axes))
    degrees = random.uniform(-30, 30, (4, axes * (axes - 1)))
    steps = [scaled(jnp.asarray(factors, jnp.float32), axes), sheared(jnp.asarray(degrees, jnp.float32), axes)]
    one = steps[0].then(steps[1]).then(shifted(jnp.asarray(offsets, jnp.float32)))
    found = resampled(Sample(jnp.asarray(x), jnp.asarray(mask)), one)
    for i in range(4):
        forward = np.eye(axes) * factors[i]
        pairs = [(a, b) for a in range(axes) for b in range(axes) if a != b]
        for (a, b), angle in zip(pairs, degrees[i], strict=True):
            elementary = np.eye(axes)
            elementary[a, b] = np.tan(np.deg2rad(angle))
            forward = elementary @ forward
        back = np.linalg.inv(forward)
        offset = -back @ offsets[i]
        for channel in range(2):
            expected = affine_as_scipy(x[i, ..., channel], back, offset, order=1, fill=0)
            np.testing.assert_allclose(found.x[i, ..., channel], expected, atol=1e-4)
        expected = affine_as_scipy(mask[i], back, offset, order=0, fill=255)
        assert (np.asarray(found.mask[i]) == expected).mean() > 0.97, "but for places between two pixels"


def test_volumes_turn_about_a_direction():
    """About the first axis, a volume turns as each of its slices does."""
    x = examples(1, 3, 6, 7, 1)
    affine = about(jnp.array([[1.0, 0, 0]]), jnp.array([25.0]))
    found = resampled(Sample(jnp.asarray(x)), affine).x
    slices = resampled(Sample(jnp.asarray(x[0])), turned_by(jnp.full(3, -25.0))).x
    other = resampled(Sample(jnp.asarray(x[0])), turned_by(jnp.full(3, 25.0))).x
    same = [np.abs(np.asarray(found[0] - each)).max() < 1e-4 for each in (slices, other)]
    assert sorted(same) == [False, True]


def test_directions_of_volumes_are_of_no_preference():
    places = np.random.default_rng(0).random((4000, 3), np.float32)
    places[:, 0] = 1  # the largest angle
    drawn = turned(jnp.asarray(places), 90.0, 3).matrix
    np.testing.assert_allclose(drawn @ drawn.swapaxes(1, 2), np.broadcast_to(np.eye(3), (4000, 3, 3)), atol=1e-5)
    np.testing.assert_allclose(np.trace(drawn, axis1=1, axis2=2), 1, atol=1e-5)  # 1 + 2 cos 90
    # Turned by 90 degrees the diagonal holds the squares of the direction's parts: a third each.
    np.testing.assert_allclose(np.diagonal(drawn, axis1=1, axis2=2).mean(0), 1 / 3, atol=0.03)


# ---------------------------------------------------------------- draws


def test_a_shift_alone_is_exact_and_every_offset_alike():
    x = np.zeros((3000, 9, 9, 1), np.float32)
    x[:, 4, 4] = 0.7
    found = np.asarray(moved(x, {"shift": 2}).x)[..., 0]
    where = np.argwhere(found)
    assert (where[:, 0] == np.arange(3000)).all()
    assert set(found[found != 0]) == {np.float32(0.7)}
    counts = np.zeros((9, 9))
    np.add.at(counts, (where[:, 1], where[:, 2]), 1)
    assert counts[2:7, 2:7].sum() == 3000
    assert np.abs(counts[2:7, 2:7] - 120).max() < 55  # 5 standard deviations of 3000 draws of 1/25


def test_rotate_draws_an_angle_for_each_example():
    x = np.zeros((500, 41, 41, 1), np.float32)
    x[:, 20, 35] = 1  # 15 to the right of the centre
    found = np.asarray(moved(x, {"rotate": 30}).x)[..., 0]
    places = np.arange(41) - 20.0
    mass = found.sum((1, 2))
    row, column = (found.sum(2) @ places) / mass, (found.sum(1) @ places) / mass
    angles = np.rad2deg(np.arctan2(-row, column))
    assert -30.5 < angles.min() < -28
    assert 28 < angles.max() < 30.5
    assert np.histogram(angles, 6, (-30.5, 30.5))[0].min() > 45  # a sixth of 500 is 83, its deviation 8


def test_scale_draws_as_often_larger_as_smaller():
    boxes = np.full((2000, 1, 5), [[8, 8, 12, 12, 0]], np.float32)
    found = np.asarray(moved(np.zeros((2000, 20, 20, 1), np.float32), {"scale": 2}, boxes=boxes).boxes)[:, 0]
    factors = (found[:, 2] - found[:, 0]) / 4
    assert 0.5 - 1e-4 < factors.min() < 0.52
    assert 1.95 < factors.max() < 2 + 1e-4
    assert abs((factors > 1).mean() - 0.5) < 0.06


@pytest.mark.parametrize(
    ("axes", "choices"),
    [
        ("horizontal", ((), (1,))),
        ("vertical", ((), (0,))),
        ("both", ((), (0,), (1,), (0, 1))),
    ],
)
def test_flip_of_each_example_alike(axes, choices):
    x = examples(800, 3, 4, 2)
    found = np.asarray(moved(x, {"flip": axes}).x)
    same = np.array([[np.array_equal(b, np.flip(a, c)) for c in choices] for a, b in zip(x, found, strict=True)])
    assert (same.sum(1) == 1).all()
    assert np.abs(same.mean(0) - 1 / len(choices)).max() < 0.09  # 5 standard deviations of 800 draws


def test_flip_of_lines_and_volumes():
    for shape, axis in (((64, 5, 1), 0), ((64, 3, 4, 5, 1), 2)):
        x = examples(*shape)
        found = np.asarray(moved(x, {"flip": "horizontal"}).x)
        back = [np.array_equal(np.flip(a, axis), b) for a, b in zip(x, found, strict=True)]
        same = [np.array_equal(a, b) for a, b in zip(x, found, strict=True)]
        assert sorted(set(zip(same, back, strict=True))) == [(False, True), (True, False)]


# ---------------------------------------------------------------- together


def rectangle(low, high, size=24):
    """One image [1, size, size, 1] with a lit rectangle, its mask, and its box of the class 3."""
    mask = np.zeros((1, size, size), np.uint8)
    mask[0, low[0] : high[0], low[1] : high[1]] = 1
    return mask[..., None].astype(np.float32), mask, np.array([[[*low, *high, 3], [-1] * 5]], np.float32)


def hull(lit: np.ndarray) -> list[int]:
    rows, columns = (np.flatnonzero(lit.any(axis)) for axis in (1, 0))
    return [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]


places = st.tuples(st.integers(8, 11), st.integers(8, 11), st.integers(13, 16), st.integers(13, 16))


@settings(max_examples=25, deadline=None)
@given(places, st.integers(0, 2**32 - 1), st.booleans())
def test_a_lit_rectangles_box_stays_its_hull(place, seed, composed):
    """Exactly where pixels are moved whole; with turning and scaling by a pixel."""
    x, mask, boxes = rectangle(place[:2], place[2:])
    given = [{"shift": 3}, {"flip": "both"}]
    if composed:
        given += [{"rotate": 40}, {"scale": 1.3}, {"shear": 10}]
    found = moved(x, *given, mask=mask, boxes=boxes, seed=seed)
    lit, box = np.asarray(found.x)[0, ..., 0] > 0.5, np.asarray(found.boxes)[0]
    assert box[0, 4] == 3
    assert (box[1] == -1).all()
    known = np.where(np.asarray(found.mask)[0] == 255, 0, found.mask[0]) == 1
    if composed:
        # A corner's pixel may be less than half lit.
        assert np.abs(np.array(hull(lit)) - box[0, :4]).max() < 2
        assert (lit != known).mean() < 0.03
    else:
        assert hull(lit) == box[0, :4].tolist()
        np.testing.assert_array_equal(lit, known)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_shift_and_flip_are_exact_in_a_resampling_too(seed):
    """A rotation by nothing beside them turns them into coordinates."""
    x, mask = examples(3, 6, 7, 2), np.random.default_rng(0).integers(0, 4, (3, 6, 7), np.uint8)
    exact = moved(x, {"shift": 2}, {"flip": "both"}, mask=mask, seed=seed)
    found = moved(x, {"shift": 2}, {"flip": "both"}, {"rotate": 0}, mask=mask, seed=seed)
    np.testing.assert_array_equal(found.x, exact.x)
    inside = np.asarray(exact.mask) != 255
    np.testing.assert_array_equal(np.asarray(found.mask)[inside], np.asarray(exact.mask)[inside])
    assert (np.asarray(found.mask)[~inside] == 255).all()


def test_a_box_that_leaves_is_clipped_and_then_dropped():
    offsets = [0, 2, 4, 6, 8]
    boxes = np.full((5, 1, 5), [[4, 0, 8, 8, 1]], np.float32)
    affine = shifted(jnp.array([[0, -float(offset)] for offset in offsets]))
    found = np.asarray(resampled(Sample(jnp.zeros((5, 12, 12, 1)), None, jnp.asarray(boxes)), affine).boxes)[:, 0]
    np.testing.assert_allclose(found[:4], [[4, 0, 8, 8 - offset, 1] for offset in offsets[:4]], atol=1e-5)
    assert (found[4] == -1).all()
    found = resampled(Sample(jnp.zeros((1, 12, 12, 1)), None, jnp.asarray(boxes[:1])), shifted(jnp.array([[0, -6.1]])))
    assert (np.asarray(found.boxes) == -1).all(), "less than a quarter is left"
