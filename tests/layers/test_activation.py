"""Every activation against its formula in NumPy and SciPy."""

from typing import get_args

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from cnnlab.layers.activation import ACTIVATIONS, LeakyRelu
from cnnlab.spec.vocabulary import ActivationName

FORMULAS = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x * scipy.special.ndtr(x),
    "sigmoid": scipy.special.expit,
    "tanh": np.tanh,
    "softplus": lambda x: np.logaddexp(0, x),
    "swish": lambda x: x * scipy.special.expit(x),
    "softmax": lambda x: scipy.special.softmax(x, axis=-1),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_its_formula(name):
    x = np.concatenate([np.linspace(-8, 8, 33), [-80, 80, 1e-4]]).astype(np.float32).reshape(2, 3, 6)
    y = ACTIVATIONS[name]()(jnp.asarray(x))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, FORMULAS[name](x.astype(np.float64)), rtol=2e-5, atol=2e-6)


def test_leaky_relu_has_its_slope():
    np.testing.assert_allclose(LeakyRelu(0.3)(jnp.array([-2.0, 0, 2])), [-0.6, 0, 2], rtol=1e-6)


def test_a_spec_can_name_all_of_them_and_softmax_only_as_a_layer():
    assert {*get_args(ActivationName), "softmax"} == set(ACTIVATIONS) == set(FORMULAS)
