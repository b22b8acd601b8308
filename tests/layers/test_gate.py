"""Squeeze-and-excitation against its equations in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from flax import nnx

from cnnlab.layers.gate import SqueezeExcite
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.windows import ShapeError

ACTIVATIONS = {"relu": lambda x: np.maximum(x, 0), "swish": lambda x: x * scipy.special.expit(x)}


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("space", [(5,), (3, 4), (2, 3, 2)])
def test_channels_are_weighed_by_what_their_means_say(space, activation):
    layer = SqueezeExcite(6, 4, axes=len(space), activation=activation, init=Initializer(0))
    layer.reduce.bias[...], layer.expand.bias[...] = random(4, seed=1), random(6, seed=2)
    x = random(3, *space, 6)
    squeezed = x.astype(np.float64).reshape(3, -1, 6).mean(1)  # equation 2
    first, second = (np.asarray(conv.kernel[...]).reshape(-1, n) for conv, n in ((layer.reduce, 4), (layer.expand, 6)))
    hidden = ACTIVATIONS[activation](squeezed @ first + random(4, seed=1))
    gate = scipy.special.expit(hidden @ second + random(6, seed=2))  # equation 3
    expected = x * gate.reshape(3, *(1 for _ in space), 6)  # equation 4
    for mode in (EVALUATION, Mode(train=True)):
        np.testing.assert_allclose(layer(jnp.asarray(x), mode), expected, rtol=1e-5, atol=1e-6)


def test_a_vector_is_refused():
    with pytest.raises(ShapeError, match=r"^needs a map with spatial axes, and gets a vector of 4$"):
        SqueezeExcite(4, 2, axes=2, init=Initializer(0))(jnp.ones((1, 4)))


@pytest.mark.parametrize("space", [(5,), (3, 4), (2, 3, 2)])
def test_gradients_in_training_are_those_of_the_equations(space):
    """In evaluation the layer is plain equations, which JAX differentiates by itself."""
    layer = SqueezeExcite(6, 4, axes=len(space), activation="swish", init=Initializer(0))
    graph, state = nnx.split(layer)
    x, dy = (jnp.asarray(random(3, *space, 6, seed=i)) for i in range(2))

    def gradients(mode):
        return jax.vjp(lambda state, x: nnx.merge(graph, state)(x, mode), state, x)[1](dy)

    found, expected = (jax.tree.leaves(gradients(mode)) for mode in (Mode(train=True), EVALUATION))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
