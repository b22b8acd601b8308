"""Windows: by slices in NumPy, and by Pillow where they are resized."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from cnnlab.data.augment import Sample, centre_crop, example_keys
from cnnlab.data.augment.crop import _windows, random_crop, resized_at
from cnnlab.spec.augment import RandomResizedCrop

RANDOM = np.random.default_rng(0)


def sample_of(count: int, *spatial: int, channels: int = 2) -> Sample:
    """Values that are all different, masks, and a box from the second pixel to the last but one."""
    x = RANDOM.permutation(count * int(np.prod(spatial)) * channels).astype(np.float32)
    box = [1] * len(spatial) + [n - 1 for n in spatial] + [2]
    boxes = np.array([[box, [-1] * len(box)]] * count, np.float32)
    mask = RANDOM.integers(0, 9, (count, *spatial), np.uint8)
    return Sample(jnp.asarray(x.reshape(count, *spatial, channels)), jnp.asarray(mask), jnp.asarray(boxes))


@pytest.mark.parametrize(("spatial", "size"), [((9,), (5,)), ((6, 8), (4, 8)), ((4, 5, 3), (4, 3, 2))])
def test_a_random_crop_is_a_window_of_the_padded_example(spatial, size):
    sample = sample_of(40, *spatial)
    keys = example_keys(0, 0, jnp.arange(40))
    found = jax.jit(random_crop, static_argnums=(2, 3))(sample, keys, size, 1)
    around = [(1, 1)] * len(size)
    padded_x = np.pad(sample.x, [(0, 0), *around, (0, 0)])
    padded_mask = np.pad(sample.mask, [(0, 0), *around], constant_values=255)
    starts = set()
    for i in range(40):
        ranges = [range(n + 2 - out + 1) for n, out in zip(spatial, size, strict=True)]
        options = list(np.ndindex(*map(len, ranges)))
        windows = [tuple(slice(s, s + out) for s, out in zip(start, size, strict=True)) for start in options]
        fits = [k for k, window in enumerate(windows) if np.array_equal(padded_x[i][window], found.x[i])]
        assert len(fits) == 1
        np.testing.assert_array_equal(found.mask[i], padded_mask[i][windows[fits[0]]])
        start = np.array(options[fits[0]])
        low = (2 - start).clip(0, size)
        high = (np.array(spatial) - start).clip(0, size)
        share = np.prod(high - low) / np.prod(np.array(spatial) - 2)
        expected = [*low, *high, 2] if share >= 0.25 else [-1] * (2 * len(size) + 1)
        assert found.boxes[i, 0].tolist() == expected
        assert (found.boxes[i, 1] == -1).all()
        starts.add(options[fits[0]])
    assert len(starts) > len(options) / 3


def test_the_centre():
    sample = sample_of(2, 7, 8)
    found = centre_crop(sample, (4, 4))
    np.testing.assert_array_equal(found.x, sample.x[:, 2:6, 2:6])  # 1.5 rounds to the even 2, as torchvision has it
    np.testing.assert_array_equal(found.mask, sample.mask[:, 2:6, 2:6])
    assert found.boxes[0].tolist() == [[0, 0, 4, 4, 2], [-1] * 5]
    assert centre_crop(sample, (7, 8)) is sample


@pytest.mark.parametrize("size", [(12, 12), (5, 7), (30, 20)])
def test_a_resized_window_is_pillows(size):
    sample = sample_of(4, 20, 17, channels=1)
    starts, lengths = np.array([[0, 0], [3, 5], [10, 1], [7, 7]]), np.array([[20, 17], [9, 8], [10, 3], [1, 10]])
    found = jax.jit(resized_at, static_argnums=3)(sample, jnp.asarray(starts), jnp.asarray(lengths), size)
    for i, ((top, left), (height, width)) in enumerate(zip(starts, lengths, strict=True)):
        image = Image.fromarray(np.asarray(sample.x[i, ..., 0])[top : top + height, left : left + width])
        expected = image.resize(size[::-1], Image.Resampling.BILINEAR)
        np.testing.assert_allclose(found.x[i, ..., 0], expected, atol=2e-3)  # of values up to 1,360
        rows, columns = (
            [start + math.floor(Fraction((2 * place + 1) * length, 2 * n)) for place in range(n)]
            for start, length, n in ((top, height, size[0]), (left, width, size[1]))
        )
        np.testing.assert_array_equal(found.mask[i], np.asarray(sample.mask[i])[np.ix_(rows, columns)])
    ends = (np.array([1, 1, 19, 16]) - np.tile([3, 5], 2)) * np.tile([size[0] / 9, size[1] / 8], 2)
    np.testing.assert_allclose(found.boxes[1, 0, :4], ends.clip(0, np.tile(size, 2)), atol=1e-4)


def test_windows_have_the_area_and_the_ratio_that_are_asked_for():
    entry = RandomResizedCrop(size=8, area=(0.2, 0.6), ratio=(0.5, 2.0))
    keys = example_keys(0, 0, jnp.arange(2000))
    starts, lengths = map(np.asarray, _windows(keys, entry, (60, 80)))
    area, ratio = lengths.prod(1) / 4800, lengths[:, 1] / lengths[:, 0]
    assert 0.19 < area.min() < 0.22
    assert 0.57 < area.max() < 0.62
    assert 0.48 < ratio.min() < 0.53
    assert 1.9 < ratio.max() < 2.1
    # Every area and the logarithm of every ratio alike, but for windows that do not fit into the image.
    assert 0.37 < area.mean() < 0.41
    assert -0.02 < np.log(ratio).mean() < 0.12
    assert (starts >= 0).all()
    assert (starts + lengths <= [60, 80]).all()
    room = np.array([60, 80]) - lengths
    assert abs((starts / np.maximum(room, 1)).mean() - 0.5) < 0.03


def test_where_no_window_fits_the_largest_in_the_middle_is_taken():
    entry = RandomResizedCrop(size=8, area=(1.0, 1.0), ratio=(0.75, 4 / 3))
    starts, lengths = _windows(example_keys(0, 0, jnp.arange(3)), entry, (20, 100))
    np.testing.assert_array_equal(lengths, [[20, 27]] * 3)
    np.testing.assert_array_equal(starts, [[0, 36]] * 3)


def test_signals_and_volumes_are_resized_too():
    entry = RandomResizedCrop(size=8)
    for spatial in ((30,), (9, 10, 11)):
        sample = sample_of(3, *spatial)
        keys = example_keys(0, 0, jnp.arange(3))
        found = resized_at(sample, *_windows(keys, entry, spatial), (8,) * len(spatial))
        assert found.x.shape == (3, *(8,) * len(spatial), 2)
        assert found.mask is not None
        assert found.mask.shape == (3, *(8,) * len(spatial))
        assert float(found.x.max()) <= float(sample.x.max())
