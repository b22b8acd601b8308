"""Squeeze-and-excitation against its equations in NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from cnnlab.layers.gate import SqueezeExcite
from cnnlab.layers.initialize import Initializer
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
    np.testing.assert_allclose(layer(jnp.asarray(x)), expected, rtol=1e-5, atol=1e-6)


def test_a_vector_is_refused():
    with pytest.raises(ShapeError, match=r"^needs a map with spatial axes, and gets a vector of 4$"):
        SqueezeExcite(4, 2, axes=2, init=Initializer(0))(jnp.ones((1, 4)))
