"""Whole training curves: with the kernels they stay as near to float64 as float64 stays to itself, slightly moved."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.models.resnet_cifar import resnet_cifar
from cnnlab.train.state import split

STEPS, BATCH, SIDE = 30, 16, 16
MOVED = 1e-7  # of every weight, relatively: about what float32 rounds


def data() -> tuple[np.ndarray, np.ndarray]:
    """Images in four classes that differ by which quarter is brighter."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(STEPS, BATCH, SIDE, SIDE, 3)), random.integers(0, 4, (STEPS, BATCH))
    half = SIDE // 2
    for image, label in zip(x.reshape(-1, SIDE, SIDE, 3), y.ravel(), strict=True):
        image[label // 2 * half :, label % 2 * half :] += 0.5
    return x, y


class Descent(NamedTuple):
    """Gradient descent with momentum: (parameters, statistics, speed, images, labels) to the next, and the loss."""

    step: Any
    params: Any
    stats: Any


def descent(dtype: Any) -> Descent:
    model = resnet_cifar((SIDE, SIDE, 3), 4, init=Initializer(0), depth=8)
    graph, params, stats = split(model)

    def loss(params: Any, stats: Any, x: jax.Array, y: jax.Array) -> tuple[jax.Array, Any]:
        model = nnx.merge(graph, params, stats)
        logits = model(x, Mode(train=True, key=jax.random.key(0)))
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1)
        return -chosen.mean(), nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))

    @jax.jit
    def step(params: Any, stats: Any, speed: Any, x: jax.Array, y: jax.Array) -> Any:
        (value, stats), gradient = jax.value_and_grad(loss, has_aux=True)(params, stats, x, y)
        speed = jax.tree.map(lambda v, g: 0.9 * v + g, speed, gradient)
        return jax.tree.map(lambda p, v: p - 0.02 * v, params, speed), stats, speed, value

    params, stats = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), (params, stats))
    return Descent(step, params, stats)


def curve(of: Descent, dtype: Any, moved: float = 0.0, seed: int = 0) -> np.ndarray:
    """The loss of each step; before each, weights move by so much, relatively."""
    random, step, params, stats = np.random.default_rng(seed), *of
    speed, losses = jax.tree.map(jnp.zeros_like, params), []
    for x, y in zip(*data(), strict=True):
        if moved:
            params = jax.tree.map(lambda p: p * (1 + moved * random.normal(size=p.shape)), params)
        params, stats, speed, value = step(params, stats, speed, jnp.asarray(x, dtype), y)
        losses.append(float(value))
    return np.array(losses)


def furthest(curves: list[np.ndarray], exact: np.ndarray) -> np.ndarray:
    """How far any of the curves has been from the exact one, up to each step."""
    return np.maximum.accumulate(np.max([abs(found - exact) for found in curves], axis=0))


@pytest.mark.slow
@pytest.mark.usefixtures("in_use")
def test_a_curve_is_as_near_to_float64_as_float64_moved_by_rounding() -> None:
    with jax.enable_x64(True):
        double = descent(jnp.float64)
        exact = curve(double, jnp.float64)
        moved = furthest([curve(double, jnp.float64, MOVED, seed) for seed in (1, 2, 3)], exact)
    kernels = furthest([curve(descent(jnp.float32), jnp.float32)], exact)
    assert exact[-5:].mean() < 0.8 * exact[:5].mean()  # it learns
    # A network turns over at a ReLU now and then, a step earlier in one curve than in another.
    assert (kernels <= 3 * moved + 1e-6).all()
