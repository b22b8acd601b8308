"""Generated data: what each kind must fulfil by its formula, and that an example depends on its number alone."""

import hashlib
from math import erf, pi, sqrt
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import label

from cnnlab.data.dataset import load
from cnnlab.errors import DataError
from cnnlab.spec import sources as spec

OTHERS = ("digit_scenes", "function")  # which have tests of their own
KINDS = {cls.tags[0]: cls for cls in spec.GENERATORS if cls.tags[0] not in OTHERS}
SHAPES = {"two_moons": (2,), "spirals": (2,), "gaussians": (2,), "sines": (64, 1), "shapes": (32, 32, 1),
          "spheres": (16, 16, 16, 1)}  # fmt: skip


def make(kind, **keys):
    return load(KINDS[kind](source=kind, **{"examples": 300, **keys}), Path("."))


@pytest.mark.parametrize("kind", KINDS)
def test_what_every_kind_gives(kind):
    data = make(kind)
    assert data.x.shape == (300, *SHAPES[kind])
    assert data.x.dtype == (np.uint8 if kind == "shapes" else np.float32)
    assert data.y.dtype == np.int32
    assert data.y.tolist() == [i % len(data.classes) for i in range(300)]
    assert (data.source, data.files, data.given) == (kind, None, {})
    assert len(set(data.digests)) == 300


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_depends_on_the_seed_and_its_number_alone(kind):
    data = make(kind)
    assert make(kind).digests == data.digests
    assert make(kind, examples=500).digests[:300] == data.digests
    assert not set(make(kind, seed=1).digests) & set(data.digests)


def test_two_moons_lie_on_their_circles():
    data = make("two_moons", noise=0)
    for k, centre in enumerate([(0, 0), (1, 0.5)]):
        away = data.x[data.y == k] - np.float32(centre)
        np.testing.assert_allclose((away**2).sum(1), 1, atol=1e-6)
        assert ((away[:, 1] >= -1e-6) if k == 0 else (away[:, 1] <= 1e-6)).all()
    noisy = make("two_moons", noise=0.25, examples=4000).x - make("two_moons", noise=0, examples=4000).x
    np.testing.assert_allclose(noisy.std(0), 0.25, rtol=0.05)


def test_spirals_keep_their_turns():
    data = make("spirals", arms=3, turns=2, noise=0)
    radius, angle = np.hypot(*data.x.T), np.arctan2(data.x[:, 1], data.x[:, 0])
    assert 0.1 <= radius.min() < 0.12
    assert 0.98 < radius.max() <= 1
    expected = 2 * pi * (2 * (radius - 0.1) / 0.9 + data.y / 3)
    np.testing.assert_allclose(np.cos(angle - expected), 1, atol=1e-4)
    assert data.classes == ("0", "1", "2")


@pytest.mark.parametrize("separation", [1, 2, 4])
def test_gaussians_are_as_hard_as_their_separation_says(separation):
    data = make("gaussians", examples=20_000, separation=separation, dimensions=3)
    right = ((data.x[:, 0] < 0) == (data.y == 1)).mean()
    assert abs(right - (1 + erf(separation / 2 / sqrt(2))) / 2) < 0.01  # 3 deviations


def test_centres_of_gaussians_are_as_far_apart_as_said():
    data = make("gaussians", examples=50_000, clusters=5, separation=3, dimensions=4)
    centres = np.array([data.x[data.y == k].mean(0) for k in range(5)])
    np.testing.assert_allclose(np.linalg.norm(centres - np.roll(centres, 1, 0), axis=1), 3, atol=0.06)
    np.testing.assert_allclose(data.x[data.y == 2].std(0), 1, atol=0.03)


def test_sines_have_the_frequency_of_their_class():
    data = make("sines", noise=0, frequencies=(3, 5, 20))
    power = abs(np.fft.rfft(data.x[..., 0]))
    assert data.classes == ("3", "5", "20")
    assert (power.argmax(1) == np.array([3, 5, 20])[data.y]).all()
    amplitude = 2 * power.max(1) / 64
    assert 0.5 <= amplitude.min() < 0.52
    assert 1.48 < amplitude.max() <= 1.5


@pytest.mark.parametrize(("kind", "ratio", "tolerance"), [
    ("shapes", {"circle": pi / 4, "square": 1, "triangle": 0.5}, 0.15),
    ("spheres", {"sphere": pi / 6, "cube": 1, "octahedron": 1 / 6}, 0.25),
])  # fmt: skip
def test_bodies_fill_their_boxes_as_geometry_says(kind, ratio, tolerance):
    """One whole body inside of each example, all of a like size: by counting and by the box about it."""
    data = make(kind, noise=0, size=64, examples=45)
    inside = data.x[..., 0] > 0
    sizes = {name: [] for name in ratio}
    assert data.classes == tuple(ratio)
    for one, y in zip(inside, data.y, strict=True):
        assert label(one)[1] == 1
        assert not any(np.take(one, [0, -1], axis).any() for axis in range(one.ndim))
        box = [np.ptp(places) + 1 for places in np.nonzero(one)]
        name = data.classes[y]
        assert abs(one.sum() / np.prod(box) / ratio[name] - 1) < tolerance
        sizes[name].append(one.sum())
    means = [np.mean(found) for found in sizes.values()]
    assert max(means) < 1.35 * min(means)


@pytest.mark.parametrize("kind", ["shapes", "spheres"])
def test_masks_and_boxes_are_those_of_the_bodies(kind):
    data = make(kind, noise=0)
    mask = data.targets["mask"]
    assert (mask.values.dtype, mask.names) == (np.uint8, ("background", *data.classes))
    expected = np.where(data.x[..., 0] > 0, (data.y + 1).reshape(-1, *[1] * (data.x.ndim - 2)), 0)
    np.testing.assert_array_equal(mask.values, expected)
    if kind == "shapes":
        boxes = data.targets["boxes"]
        assert (boxes.values.shape, boxes.values.dtype, boxes.names) == ((300, 1, 5), np.float32, data.classes)
        for ids, box, y in zip(mask.values, boxes.values[:, 0], data.y, strict=True):
            rows, columns = np.nonzero(ids)
            assert box.tolist() == [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1, y]


# SHA-256 over the examples' digests before masks and boxes came with them.
BEFORE = {
    "shapes": "38c1aedc5d655cfa841c37dbe1eebf1eac9da96f35468237f639b9f6641e7f3a",
    "spheres": "a30bbefaeebe473992e61acbb56281493f88c556e9057e3bce152510b5c55d5b",
}


@pytest.mark.parametrize("kind", BEFORE)
def test_examples_are_those_of_earlier_runs(kind):
    assert hashlib.sha256(b"".join(make(kind).digests)).hexdigest() == BEFORE[kind]


def test_too_much_is_told_before_it_is_made(monkeypatch):
    monkeypatch.setattr("cnnlab.data.memory.available_bytes", lambda: 1000)
    for kind in ("gaussians", "sines", "shapes", "spheres"):
        with pytest.raises(DataError, match=rf"^{kind}: 300 examples would take .*; make data\.examples or an example"):
            make(kind)
