"""Resizing against Pillow, which has its own implementation, and against linear functions."""

import numpy as np
import pytest
from PIL import Image

from cnnlab.data import resize as module
from cnnlab.data.resize import resize, size_per_axis
from cnnlab.errors import SpecError


def pillow(x, size):
    """Pillow's BILINEAR for each example and channel, of uint8 in levels, of float32 exactly."""
    mode = "L" if x.dtype == np.uint8 else "F"
    planes = np.moveaxis(x, -1, 1).reshape(-1, *x.shape[1:-1])
    images = [Image.fromarray(plane).convert(mode) for plane in planes]
    resized = np.stack([np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR)) for image in images])
    return np.moveaxis(resized.reshape(len(x), x.shape[-1], *size), 1, -1)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((8, 8, 1), (32, 32)),
        ((31, 17, 3), (5, 11)),
        ((31, 17, 1), (1, 1)),
        ((9, 20, 3), (23, 6)),
        ((1, 7, 1), (4, 7)),
    ],
)
def test_images_as_pillow_does(shape, size):
    x = np.random.default_rng(0).integers(0, 256, (20, *shape), dtype=np.uint8)
    found = resize(x, size)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - pillow(x, size)).max() <= 1
    np.testing.assert_array_equal(found, np.rint(resize(x.astype(np.float32), size)))
    floats = (x / 255).astype(np.float32)
    np.testing.assert_allclose(resize(floats, size), pillow(floats, size), atol=1e-5)


def test_one_axis_and_three():
    ramp = np.arange(8, dtype=np.float32)
    line = resize(np.broadcast_to(ramp[:, None], (2, 8, 1)), (16,))
    np.testing.assert_allclose(line[1, 1:-1, 0], np.arange(1, 15) / 2 - 0.25, atol=1e-6)  # linear between centres
    solid = np.broadcast_to(ramp[:, None, None, None], (2, 8, 3, 4, 1))
    found = resize(solid, (16, 5, 2))
    assert found.shape == (2, 16, 5, 2, 1)
    np.testing.assert_allclose(found, np.broadcast_to(line[:, :, None, None], found.shape), atol=1e-6)


def test_in_batches_as_in_one(monkeypatch):
    x = np.random.default_rng(0).integers(0, 256, (7, 6, 5, 3), dtype=np.uint8)
    whole = resize(x, (4, 9))
    monkeypatch.setattr(module, "BATCH_BYTES", 3 * 4 * 3 * (30 + 36))
    np.testing.assert_array_equal(resize(x, (4, 9)), whole)


def test_size_per_axis():
    assert size_per_axis(32, 1) == (32,)
    assert size_per_axis(32, 3) == (32, 32, 32)
    assert size_per_axis((5, 6), 2) == (5, 6)


def test_size_that_does_not_fit():
    message = r"data\.resize has 2 numbers, \[5, 6\], and the data 3 spatial axes; give one number for all axes"
    with pytest.raises(SpecError, match=message):
        size_per_axis((5, 6), 3)
    with pytest.raises(SpecError, match=r"data\.resize is 32, and the examples are vectors.*leave data\.resize out"):
        size_per_axis(32, 0)
