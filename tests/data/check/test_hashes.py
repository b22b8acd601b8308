"""Perceptual hashes: the definition, what leaves them as they are, and close pairs against all pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.fft import dctn

from cnnlab.data.check.hashes import close_pairs, hashes, low_frequencies


def smooth(seed: int, size: tuple[int, int] = (40, 32)) -> np.ndarray:
    """A grey image of a few large shapes, 0 to 255."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)).astype(np.float32)


def bits_apart(a: np.ndarray, b: np.ndarray) -> int:
    (one,), (other,) = (hashes(low_frequencies(image[None])) for image in (a, b))
    return int(one ^ other).bit_count()


def test_low_frequencies_are_scipys_transform():
    image = smooth(0)
    expected = dctn(image, type=2)[:8, :8] / (4 * image.size)
    np.testing.assert_allclose(low_frequencies(image[None])[0], expected, rtol=1e-4, atol=1e-4)
    assert low_frequencies(image[None])[0, 0, 0] == pytest.approx(image.mean(), rel=1e-5)


def test_a_bit_says_whether_a_coefficient_is_above_the_median():
    frequencies = low_frequencies(smooth(1)[None])
    values = frequencies.ravel()[1:]
    bits = f"{int(hashes(frequencies)[0]):064b}"
    assert bits == "0" + "".join("1" if value > np.median(values) else "0" for value in values)


@pytest.mark.parametrize("seed", range(5))
def test_what_looks_alike_has_nearly_the_same_hash_and_another_image_has_not(seed):
    image = smooth(seed)
    larger = np.asarray(Image.fromarray(image.astype(np.uint8)).resize((61, 75), Image.Resampling.BILINEAR))
    noisy = image + np.random.default_rng(seed).normal(0, 3, image.shape)
    assert bits_apart(image, 0.8 * image + 20) <= 2  # contrast, brightness: none but for rounding
    assert bits_apart(image, larger.astype(np.float32)) <= 10
    assert bits_apart(image, noisy) <= 10
    assert bits_apart(image, smooth(seed + 100)) > 15


@settings(max_examples=40, deadline=None)
@given(count=st.integers(0, 150), distance=st.integers(0, 12), flips=st.integers(1, 20), seed=st.integers(0, 999))
def test_close_pairs_are_all_pairs_within_the_distance_each_once(count, distance, flips, seed):
    random = np.random.default_rng(seed)
    base = random.integers(0, 2**64, 1 + count // 10, dtype=np.uint64)
    flipped = np.bitwise_xor.reduce(np.uint64(1) << random.integers(0, 64, (count, flips)).astype(np.uint64), axis=1)
    distinct = np.unique(base[np.arange(count) % len(base)] ^ flipped)
    values = distinct.tolist()
    expected = {(i, j) for i in range(len(values)) for j in range(i) if (values[i] ^ values[j]).bit_count() <= distance}
    pairs, complete = close_pairs(distinct, distance)
    assert complete
    assert len(pairs) == len(expected)
    assert {(max(pair), min(pair)) for pair in pairs.tolist()} == expected


def test_the_search_ends_where_there_are_too_many():
    distinct = np.arange(256, dtype=np.uint64)
    pairs, complete = close_pairs(distinct, 10, most=1000)
    assert not complete
    assert 1000 < len(pairs) <= 256 * 255 // 2
