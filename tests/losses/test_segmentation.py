"""Losses of a class per pixel against loops over the pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from cnnlab.losses.segmentation import cross_entropy, dice, focal
from cnnlab.spec.data import UNKNOWN
from tests.losses.slopes import slopes

RANDOM = np.random.default_rng(0)
CLASSES = 3
WEIGHTS = np.array([0.5, 1.0, 4.0], np.float32)


def example(*space: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits and a mask with some of it ignored; the last example says nothing."""
    logits = RANDOM.normal(0, 2, (3, *space, CLASSES)).astype(np.float32)
    mask = RANDOM.integers(0, CLASSES, (3, *space)).astype(np.uint8)
    mask[RANDOM.random(mask.shape) < 0.3] = UNKNOWN
    mask[-1] = UNKNOWN
    return logits, mask


def by_pixel(logits: np.ndarray, mask: np.ndarray, gamma: float, weights: np.ndarray) -> np.ndarray:
    losses = []
    p = scipy.special.softmax(logits.astype(np.float64), axis=-1)
    for probabilities, truth in zip(p, mask, strict=True):
        found = [
            -weights[truth[place]] * (1 - q[truth[place]]) ** gamma * np.log(q[truth[place]])
            for place in np.ndindex(truth.shape)
            if truth[place] != UNKNOWN
            for q in [probabilities[place]]
        ]
        losses.append(np.mean(found) if found else 0.0)
    return np.array(losses)


def dice_by_class(logits: np.ndarray, mask: np.ndarray, smoothing: float) -> np.ndarray:
    losses = []
    for probabilities, truth in zip(scipy.special.softmax(logits.astype(np.float64), axis=-1), mask, strict=True):
        said = truth != UNKNOWN
        quotients = []
        for k in range(CLASSES):
            p, g = probabilities[said][:, k], (truth[said] == k).astype(float)
            quotients.append((2 * (p @ g) + smoothing) / (p @ p + g @ g + smoothing))
        losses.append(1 - np.mean(quotients))
    return np.array(losses)


LOSSES = [
    (lambda x, y: cross_entropy(x, y), lambda x, y: by_pixel(x, y, 0, np.ones(CLASSES))),
    (lambda x, y: cross_entropy(x, y, class_weights=jnp.asarray(WEIGHTS)), lambda x, y: by_pixel(x, y, 0, WEIGHTS)),
    (lambda x, y: focal(x, y, gamma=1.5), lambda x, y: by_pixel(x, y, 1.5, np.ones(CLASSES))),
    (lambda x, y: focal(x, y, class_weights=jnp.asarray(WEIGHTS)), lambda x, y: by_pixel(x, y, 2, WEIGHTS)),
    (lambda x, y: dice(x, y), lambda x, y: dice_by_class(x, y, 1.0)),
    (lambda x, y: dice(x, y, smoothing=1e-3), lambda x, y: dice_by_class(x, y, 1e-3)),
]


@pytest.mark.parametrize(("loss", "expected"), LOSSES)
@pytest.mark.parametrize("space", [(5,), (3, 4), (2, 3, 2)])
def test_each_loss_is_its_loop_over_what_the_mask_says(loss, expected, space):
    logits, mask = example(*space)
    losses = jax.jit(loss)(jnp.asarray(logits), jnp.asarray(mask))
    assert losses.shape == (3,)
    assert abs(losses[-1]) < 1e-7
    np.testing.assert_allclose(losses, expected(logits, mask), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("loss", "expected"), LOSSES)
def test_slopes_are_those_of_the_loop_and_nothing_flows_where_nothing_is_said(loss, expected):
    logits, mask = example(2, 3)
    gradient = np.asarray(jax.jit(jax.grad(lambda x: loss(x, jnp.asarray(mask)).sum()))(jnp.asarray(logits)))
    np.testing.assert_allclose(gradient, slopes(lambda x: expected(x, mask), logits), rtol=1e-4, atol=1e-5)
    assert (gradient[mask == UNKNOWN] == 0).all()


@pytest.mark.parametrize("loss", [cross_entropy, focal, dice])
def test_a_sure_and_right_answer_costs_nothing_and_extremes_stay_finite(loss):
    loss = jax.jit(loss)
    mask = jnp.asarray(RANDOM.integers(0, CLASSES, (2, 4, 4)).astype(np.uint8))
    logits = 1e4 * jax.nn.one_hot(mask, CLASSES)
    np.testing.assert_allclose(loss(logits, mask), [0, 0], atol=1e-6)
    assert (loss(-logits, mask) > 0.5).all()
    assert np.isfinite(jax.jit(jax.grad(lambda x: loss(x, mask).sum()))(-logits)).all()
