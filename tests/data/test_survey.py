"""One look at every image: digests and sums, in order, a few images in memory at a time."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.data.fingerprint import content_digests
from cnnlab.data.memory import processors
from cnnlab.data.prepare import statistics
from cnnlab.data.stored import StoredImages
from cnnlab.data.survey import survey
from cnnlab.errors import DataError


class Array:
    """Images of an array, as a source."""

    def __init__(self, x: np.ndarray):
        self.x, self.shape = x, x.shape[1:]

    def read_again(self, i: int) -> np.ndarray:
        return self.x[i]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 9), st.sampled_from([1, 3, 255, 256, 257, 600]), st.integers(1, 4)),
    channels=st.sampled_from([1, 3]),
    high=st.sampled_from([1, 2, 256]),
)
def test_sums_and_statistics_against_numpy(seed, shape, channels, high):
    random = np.random.default_rng(seed)
    x = random.integers(0, high, (*shape, channels), dtype=np.uint8) + np.uint8(256 - high)
    found = survey(x.__getitem__, len(x))
    assert found.digests == content_digests(x)
    np.testing.assert_array_equal(found.first, x[:, 0, 0])
    np.testing.assert_array_equal(found.sums, x.sum((1, 2), dtype=np.int64))
    np.testing.assert_array_equal(found.squares, (x.astype(np.int64) ** 2).sum((1, 2)))
    stored = StoredImages(Array(x), found)
    chosen = random.permutation(len(x))[: random.integers(1, len(x) + 1)]
    for mine, others in zip(statistics(stored, chosen), statistics(x, chosen), strict=True):
        np.testing.assert_array_equal(mine, others)  # to the bit
    values = x[chosen].reshape(-1, channels) / 255
    std = values.std(0)
    np.testing.assert_allclose(statistics(stored, chosen)[0], values.mean(0), rtol=1e-6)
    np.testing.assert_allclose(statistics(stored, chosen)[1], np.where(std < 1e-9, 1, std), rtol=1e-6)


def test_images_are_seen_in_order_and_few_are_held():
    x = np.arange(200, dtype=np.uint8).reshape(200, 1, 1, 1)
    lock, read, seen, most = threading.Lock(), [0], [], [0]

    def count(i: int) -> np.ndarray:
        with lock:
            read[0] += 1
            most[0] = max(most[0], read[0] - len(seen))
        return x[i]

    survey(count, 200, lambda digest, image: seen.append((digest, int(image[0, 0, 0]))))
    assert seen == list(zip(content_digests(x), range(200), strict=True))
    assert 1 <= most[0] <= 4 * processors() + 1


def test_the_first_error_is_raised_and_the_rest_not_read():
    read = []

    def fail(i: int) -> np.ndarray:
        read.append(i)
        if i in (3, 5):
            raise DataError(f"image {i}")
        return np.zeros((1, 1, 1), np.uint8)

    with pytest.raises(DataError, match="image 3"):
        survey(fail, 1000)
    assert len(read) < 100
