"""The first weights: what they depend on, and how they are spread."""

import numpy as np
import pytest

from cnnlab.layers.initialize import Initializer


def test_a_draw_follows_from_the_seed_and_its_number_alone():
    one, other = Initializer(3), Initializer(3)
    first = one.he((4, 5))
    other.lecun((100, 2))
    np.testing.assert_array_equal(one.he((3, 3, 2, 6)), other.he((3, 3, 2, 6)))
    np.testing.assert_array_equal(Initializer(3).he((4, 5)), first)


def test_draws_and_seeds_differ():
    init = Initializer(3)
    draws = [init.he((6, 7)) for _ in range(4)] + [Initializer(seed).he((6, 7)) for seed in (0, 1, 2**32 - 1)]
    assert len({draw.tobytes() for draw in draws}) == 7


@pytest.mark.parametrize(
    ("rule", "shape", "variance"),
    [
        ("he", (3, 3, 16, 64), 2 / (3 * 3 * 16)),
        ("he", (5, 8, 200), 2 / (5 * 8)),
        ("he", (2, 3, 4, 5, 100), 2 / (2 * 3 * 4 * 5)),
        ("lecun", (120, 84), 1 / 120),
    ],
)
def test_the_variance_is_the_papers(rule, shape, variance):
    weights = getattr(Initializer(0), rule)(shape)
    assert weights.dtype == np.float32
    assert weights.shape == shape
    # Of n normal numbers the mean deviates by sqrt(v / n), the variance by v sqrt(2 / n).
    assert weights.mean(dtype=np.float64) == pytest.approx(0, abs=5 * np.sqrt(variance / weights.size))
    assert weights.var(dtype=np.float64) == pytest.approx(variance, rel=5 * np.sqrt(2 / weights.size))


def test_without_a_seed_arrays_have_shape_and_no_memory():
    init = Initializer()
    for draw in (init.he((3, 3, 512, 512)), init.lecun((25088, 4096))):
        assert draw.dtype == np.float32
        assert set(draw.strides) == {0}
    assert init.he((7, 9)).shape == Initializer(0).he((7, 9)).shape == (7, 9)
