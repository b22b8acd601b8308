"""Padding against NumPy's."""

import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.layers.pad import PADDING_MODES, Pad
from cnnlab.layers.windows import ShapeError

NUMPY = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def run(layer, x: np.ndarray) -> np.ndarray:
    return np.asarray(layer(jnp.asarray(x)))


def test_these_are_all_modes():
    assert set(NUMPY) == set(PADDING_MODES)


@pytest.mark.parametrize("mode", NUMPY)
@pytest.mark.parametrize(
    ("space", "padding", "pairs"),
    [
        ((5,), 2, [(2, 2)]),
        ((4, 5), 1, [(1, 1), (1, 1)]),
        ((4, 5), ((0, 3), (2, 0)), [(0, 3), (2, 0)]),
        ((3, 4, 2), ((1, 2), (0, 0), (1, 1)), [(1, 2), (0, 0), (1, 1)]),
    ],
)
def test_padding_is_numpys(mode, space, padding, pairs):
    x = random(2, *space, 3)
    y = run(Pad(padding, axes=len(space), mode=mode), x)
    np.testing.assert_array_equal(y, np.pad(x, [(0, 0), *pairs, (0, 0)], mode=NUMPY[mode]))


@pytest.mark.parametrize(
    ("mode", "largest", "sentence"),
    [
        ("reflect", 2, r"the map is 3x3 here, too small for reflect padding \(\(3, 3\), \(3, 3\)\)"),
        ("circular", 3, r"the map is 3x3 here, too small for circular padding \(\(4, 4\), \(4, 4\)\)"),
    ],
)
def test_a_map_that_has_not_enough_to_reflect_or_repeat_is_refused(mode, largest, sentence):
    x = random(1, 3, 3, 1)
    assert run(Pad(largest, axes=2, mode=mode), x).shape == (1, 3 + 2 * largest, 3 + 2 * largest, 1)
    with pytest.raises(ShapeError, match=f"^{sentence}$"):
        run(Pad(largest + 1, axes=2, mode=mode), x)


@pytest.mark.parametrize("mode", ["zeros", "replicate"])
def test_zeros_and_edges_reach_as_far_as_one_likes(mode):
    assert run(Pad(9, axes=1, mode=mode), random(1, 2, 1)).shape == (1, 20, 1)


def test_padding_by_name_or_for_other_axes_is_refused():
    with pytest.raises(ShapeError, match=r"^padding must be numbers here, not same$"):
        Pad("same", axes=2)
    with pytest.raises(ShapeError, match=r"^padding \(\(1, 1\),\) does not fit a map of 2 spatial axes$"):
        Pad(((1, 1),), axes=2)
