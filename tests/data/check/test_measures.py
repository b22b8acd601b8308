"""Figures of examples and of all of them, against NumPy over everything at once."""

import numpy as np
import pytest

from cnnlab.data.check.measures import joined, measure, measure_all
from cnnlab.data.fingerprint import content_digests

SHAPES = {"images": (9, 10, 3), "gray": (8, 8, 1), "signals": (50, 2), "vectors": (5,), "volumes": (4, 5, 6, 1)}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_figures(shape, kind):
    x = np.random.default_rng(0).uniform(0, 256, (20, *shape)).astype(kind)
    found = measure_all(x)
    assert tuple(found.digests.tolist()) == content_digests(x)
    space = tuple(range(1, x.ndim))
    np.testing.assert_array_equal([found.low, found.high], [x.min(space), x.max(space)])
    part = np.array([3, 5, 11])
    mean, deviation = found.statistics(part)
    exact = x[part].astype(np.float64).reshape(-1, shape[-1])
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-12)
    np.testing.assert_allclose(deviation, exact.std(0), rtol=1e-9)
    assert np.isnan(found.frequencies).all() == (len(shape) != 3)


def test_images_of_several_sizes_count_by_their_pixels():
    random = np.random.default_rng(1)
    images = [random.integers(0, 256, (size, 9, 3), dtype=np.uint8) for size in (8, 20, 50)]
    found = joined([measure(image[None]) for image in images])
    pixels = np.concatenate([image.reshape(-1, 3) for image in images])
    mean, deviation = found.statistics(np.arange(3))
    np.testing.assert_allclose([mean, deviation], [pixels.mean(0), pixels.std(0)], rtol=1e-12)


def test_values_that_are_not_finite_are_told_and_warn_of_nothing():
    x = np.ones((3, 9, 9, 1), np.float32)
    x[1, 0, 0], x[2, 0, 0] = np.nan, np.inf
    found = measure_all(x)
    assert np.isfinite(found.low + found.high).tolist() == [True, False, False]
