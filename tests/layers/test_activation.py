"""Every activation against its formula in NumPy and SciPy, and the gradients of what two of them learn."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from flax import nnx

from cnnlab.layers.activation import ACTIVATIONS, Elu, HardThreshold, LeakyRelu, Prelu, Sine, Softplus, Swish
from cnnlab.spec.vocabulary import ActivationName

FORMULAS = {
    "identity": lambda x: x,
    "hard_threshold": lambda x: np.where(x > 0, 1.0, 0.0),
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "prelu": lambda x: np.where(x > 0, x, 0.25 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x * scipy.special.ndtr(x),
    "sigmoid": scipy.special.expit,
    "tanh": np.tanh,
    "scaled_tanh": lambda x: 1.7159 * np.tanh(2 * x / 3),
    "softplus": lambda x: np.logaddexp(0, x),
    "swish": lambda x: x * scipy.special.expit(x),
    "sine": np.sin,
    "softmax": lambda x: scipy.special.softmax(x, axis=-1),
}
X = np.concatenate([np.linspace(-8, 8, 33), [-80, 80, 1e-4]]).astype(np.float32).reshape(2, 3, 6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_its_formula(name):
    y = ACTIVATIONS[name]()(jnp.asarray(X))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, FORMULAS[name](X.astype(np.float64)), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "formula"),
    [
        (LeakyRelu(0.3), lambda x: np.where(x > 0, x, 0.3 * x)),
        (Elu(2.5), lambda x: np.where(x > 0, x, 2.5 * np.expm1(np.minimum(x, 0)))),
        (Softplus(0.5), lambda x: np.logaddexp(0, x / 2) * 2),
        (Softplus(20.0), lambda x: np.logaddexp(0, 20 * x) / 20),
        (Swish(0.0), lambda x: x / 2),
        (Swish(1.7), lambda x: x * scipy.special.expit(1.7 * x)),
        (Swish(1.7, learned=True), lambda x: x * scipy.special.expit(1.7 * x)),
        (Sine(3.0), lambda x: np.sin(3 * x)),
        (Prelu(6), lambda x: np.where(x > 0, x, 0.25 * x)),
    ],
)
def test_a_setting_has_its_place_in_the_formula(layer, formula):
    np.testing.assert_allclose(layer(jnp.asarray(X)), formula(X.astype(np.float64)), rtol=2e-5, atol=3e-5)


def test_the_scaled_tanh_keeps_one_at_one():
    np.testing.assert_allclose(ACTIVATIONS["scaled_tanh"]()(jnp.array([-1.0, 1.0])), [-1, 1], atol=1e-4)


def test_a_hard_threshold_says_yes_or_no_and_has_no_slope():
    x = jnp.array([-2.0, -1e-30, 0.0, 1e-30, 3.0])
    np.testing.assert_array_equal(HardThreshold()(x), [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(jax.grad(lambda x: HardThreshold()(x).sum())(x), np.zeros(5))


def gradients(layer: nnx.Module, weights: np.ndarray):
    """Of sum(weights * layer(X)), with respect to X and to the layer's parameters."""
    graph, parameters = nnx.split(layer)
    return jax.grad(lambda x, p: (nnx.merge(graph, p)(x) * weights).sum(), argnums=(0, 1))(jnp.asarray(X), parameters)


WEIGHTS = np.random.default_rng(0).standard_normal(X.shape).astype(np.float32)


@pytest.mark.parametrize("features", [1, 6])
def test_prelu_learns_a_slope_a_channel_or_one_for_all(features):
    layer = Prelu(features)
    slopes = np.linspace(0.1, 0.6, features, dtype=np.float32)
    layer.slope[...] = slopes
    np.testing.assert_allclose(layer(jnp.asarray(X)), np.where(X > 0, X, slopes * X), rtol=1e-6)
    of_x, of_slope = gradients(layer, WEIGHTS)
    np.testing.assert_allclose(of_x, WEIGHTS * np.where(X > 0, 1, slopes), rtol=1e-6)
    # He, Zhang, Ren and Sun 2015, eq. 3: x where it is not positive, summed over all that share the slope.
    share = (WEIGHTS * np.minimum(X, 0)).astype(np.float64)
    expected = share.sum((0, 1)) if features == 6 else [share.sum()]
    np.testing.assert_allclose(of_slope["slope"][...], expected, rtol=1e-5)


def test_swish_learns_its_beta_only_where_told():
    layer = Swish(1.3, learned=True)
    _, of_beta = gradients(layer, WEIGHTS)
    exact, step = X.astype(np.float64), 1e-6

    def weighted(beta: float) -> float:
        return (exact * scipy.special.expit(beta * exact) * WEIGHTS).sum()

    difference = (weighted(1.3 + step) - weighted(1.3 - step)) / (2 * step)
    np.testing.assert_allclose(of_beta["beta"][...], [difference], rtol=1e-4)
    assert jax.tree.leaves(nnx.state(Swish(1.3), nnx.Param)) == []


def test_a_spec_can_name_all_of_them_and_softmax_only_as_a_layer():
    assert {*get_args(ActivationName), "softmax"} == set(ACTIVATIONS) == set(FORMULAS)
