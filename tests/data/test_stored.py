"""Images in files behave as the array of them would."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnlab.data.stored import StoredImages, reading
from cnnlab.data.survey import survey
from tests.data.test_survey import Array

X = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 3), dtype=np.uint8)
STORED = StoredImages(Array(X), survey(X.__getitem__, len(X)))

NUMBERS = st.integers(-20, 19)
INDICES = st.one_of(
    NUMBERS,
    st.slices(20),
    st.lists(NUMBERS, min_size=1).map(np.array),
    st.lists(st.booleans(), min_size=20, max_size=20).map(np.array),
)


def test_what_an_array_says_of_itself():
    for name in ("shape", "ndim", "nbytes", "dtype"):
        assert getattr(STORED, name) == getattr(X, name)
    assert len(STORED) == 20


@given(index=INDICES)
def test_indexing(index):
    np.testing.assert_array_equal(STORED[index], X[index])


@given(kept=st.lists(st.integers(0, 19), min_size=1).map(np.array), index=st.integers(0, 100))
def test_some_of_them(kept, index):
    some = STORED.take(kept)
    np.testing.assert_array_equal(some[:], X[kept])
    np.testing.assert_array_equal(some.survey.sums, STORED.survey.sums[kept])
    assert some.survey.digests == tuple(STORED.survey.digests[i] for i in kept)
    again = some.take(np.array([index % len(kept)]))
    np.testing.assert_array_equal(again[0], X[kept[index % len(kept)]])


@given(top=st.integers(0, 2), left=st.integers(-4, 3), kept=st.lists(st.integers(0, 19), min_size=1).map(np.array))
def test_a_part_of_each(top, left, kept):
    window = (slice(top, None), slice(left, 4))
    part, expected = STORED.part(window), X[:, window[0], window[1]]
    assert part.shape == expected.shape
    np.testing.assert_array_equal(part[3:9], expected[3:9])
    np.testing.assert_array_equal(part[-1], expected[-1])
    np.testing.assert_array_equal(part.take(kept)[:], expected[kept])


@pytest.mark.parametrize("x", [X, STORED], ids=["array", "stored"])
def test_reading_in_the_background(x):
    begun = reading(x, np.array([4, 2, 4]))
    np.testing.assert_array_equal(begun.result(), X[[4, 2, 4]])
    assert begun.ready()


def test_errors_come_with_the_rows():
    class Broken(Array):
        def read_again(self, i: int) -> np.ndarray:
            if i in (5, 7):
                raise OSError(f"image {i}")
            return self.x[i]

    broken = StoredImages(Broken(X), STORED.survey)
    np.testing.assert_array_equal(broken[:5], X[:5])
    with pytest.raises(OSError, match="image 7"):
        broken[[0, 7, 5]]
