"""The contractive penalty against differences of a NumPy encoder in float64."""

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.layers.activation import Sigmoid
from cnnlab.layers.compose import Sequential
from cnnlab.layers.conv import Conv, Dense
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.norm import BatchNorm
from cnnlab.layers.pool import MaxPool
from cnnlab.layers.resample import Flatten
from cnnlab.losses.jacobian import AT_ONCE, squared_jacobian
from tests.losses.slopes import slopes

RANDOM = np.random.default_rng(0)


def by_differences(weights: np.ndarray, bias: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Of sigmoid(x W + b): the sum over units of the squared slopes of each."""

    def unit(j: int, one: np.ndarray) -> np.ndarray:
        return slopes(lambda v: 1 / (1 + np.exp(-(v @ weights[:, j] + bias[j]))), one)

    return np.array([sum((unit(j, one) ** 2).sum() for j in range(weights.shape[1])) for one in x])


def test_a_sigmoid_layers_norm_and_its_slopes_are_those_of_differences():
    weights, bias, x = RANDOM.normal(size=(4, 3)), RANDOM.normal(size=3), RANDOM.normal(size=(5, 4))

    def penalty(w: jax.Array, b: jax.Array) -> jax.Array:
        return squared_jacobian(lambda v: jax.nn.sigmoid(v @ w + b), jnp.asarray(x, jnp.float32))

    w, b = jnp.asarray(weights, jnp.float32), jnp.asarray(bias, jnp.float32)
    np.testing.assert_allclose(penalty(w, b), by_differences(weights, bias, x), rtol=1e-4)
    h = 1 / (1 + np.exp(-(x @ weights + bias)))  # Rifai et al. 2011, section 5.3: the closed form
    closed = ((h * (1 - h)) ** 2 @ (weights**2).sum(0)[:, None])[:, 0]
    np.testing.assert_allclose(penalty(w, b), closed, rtol=1e-4)

    def total(at: np.ndarray) -> np.ndarray:
        h = 1 / (1 + np.exp(-(x @ at + bias)))
        return (h * (1 - h)) ** 2 @ (at**2).sum(0)

    np.testing.assert_allclose(jax.grad(lambda w: penalty(w, b).sum())(w), slopes(total, weights), rtol=1e-3, atol=1e-4)


def test_any_encoder_and_more_units_than_are_taken_at_once():
    """jax.jacrev of each example alone, for a code of several chunks and a remainder."""
    units = AT_ONCE + 5
    encode = Sequential(
        {
            "conv": Conv(2, 4, 3, axes=2, init=Initializer(1)),
            "norm": BatchNorm(4),
            "pool": MaxPool(2, axes=2),
            "flatten": Flatten(),
            "dense": Dense(36, units, init=Initializer(2)),
            "act": Sigmoid(),
        }
    )
    x = jnp.asarray(RANDOM.normal(size=(3, 6, 6, 2)), jnp.float32)
    wanted = [float((jax.jacrev(lambda one: encode(one[None])[0])(one) ** 2).sum()) for one in x]
    np.testing.assert_allclose(jax.jit(lambda x: squared_jacobian(encode, x))(x), wanted, rtol=1e-4)
