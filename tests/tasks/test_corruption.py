"""Corruptions counted position by position."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.spec.tasks import Corruption
from cnnlab.tasks.corruption import corrupted, hidden_patches

X = jnp.asarray(np.random.default_rng(0).normal(size=(40, 9, 7, 2)), jnp.float32)
KEYS = jax.random.split(jax.random.key(3), len(X))
BLACK, WHITE = jnp.array([-9.0, -8.0]), jnp.array([9.0, 8.0])


def given(bounds: tuple[jax.Array, jax.Array] | None = (BLACK, WHITE), **kind: float) -> np.ndarray:
    return np.asarray(corrupted(X, KEYS, Corruption(**kind), black=BLACK, bounds=bounds)[0])  # type: ignore[arg-type]


def test_gaussian_noise_has_its_deviation():
    noise = given(gaussian=0.5) - np.asarray(X)
    assert noise.std() == pytest.approx(0.5, rel=0.03)
    assert noise.mean() == pytest.approx(0, abs=0.03)
    assert len({one.tobytes() for one in noise}) == len(X), "every example has its own"


def test_masking_makes_a_share_of_the_values_black():
    found = given(masking=0.3)
    changed = found != np.asarray(X)
    assert changed.mean() == pytest.approx(0.3, abs=0.02)
    assert (found[..., 0][changed[..., 0]] == -9).all()
    assert (found[..., 1][changed[..., 1]] == -8).all()


def test_salt_and_pepper_are_the_two_ends_alike():
    found = given(salt_and_pepper=0.4)
    changed = found != np.asarray(X)
    assert changed.mean() == pytest.approx(0.4, abs=0.02)
    salt = (found == np.asarray(WHITE)) & changed
    assert ((found == np.asarray(BLACK)) & changed | salt).sum() == changed.sum()
    assert salt.sum() / changed.sum() == pytest.approx(0.5, abs=0.03)


def test_without_pixels_the_ends_are_those_of_the_example_and_channel():
    found = given(bounds=None, salt_and_pepper=0.4)
    for one, x in zip(found, np.asarray(X), strict=True):
        for channel in range(2):
            new = one[..., channel][one[..., channel] != x[..., channel]]
            assert set(new) <= {x[..., channel].min(), x[..., channel].max()}


@pytest.mark.parametrize(("share", "hidden"), [(0.5, 3), (0.75, 4), (0.01, 1), (0.99, 5)])
def test_whole_squares_are_hidden_as_many_every_time(share, hidden):
    """9x7 positions are 3x2 squares of 4, those at the far edges smaller; 3 * 2 * 0.75 rounds to 4."""
    found, where = corrupted(X, KEYS, Corruption(patches=share, size=4), black=BLACK, bounds=None)
    for one, at, x in zip(np.asarray(found), np.asarray(where)[..., 0], np.asarray(X), strict=True):
        squares = [at[i : i + 4, j : j + 4] for i in (0, 4, 8) for j in (0, 4)]
        assert all(square.all() or not square.any() for square in squares)
        assert sum(square.all() for square in squares) == hidden
        assert (one[at] == 0).all()
        assert (one[~at] == x[~at]).all()


def test_every_square_is_hidden_as_often_as_any_other():
    keys = jax.random.split(jax.random.key(0), 1200)
    found = jax.vmap(lambda key: hidden_patches(key, space=(6,), share=0.5, size=1))(keys)
    np.testing.assert_allclose(np.asarray(found)[..., 0].mean(0), [0.5] * 6, atol=0.05)


@pytest.mark.parametrize("kind", ["gaussian", "masking", "salt_and_pepper", "patches"])
def test_a_draw_is_that_of_the_key_whatever_stands_beside_it(kind):
    spec = Corruption(**{kind: 0.5})  # type: ignore[arg-type]
    whole, hidden = corrupted(X, KEYS, spec, black=BLACK, bounds=(BLACK, WHITE))
    alone, _ = corrupted(X[7:8], KEYS[7:8], spec, black=BLACK, bounds=(BLACK, WHITE))
    np.testing.assert_array_equal(alone[0], whole[7])
    assert kind == "patches" or bool(hidden.all())
