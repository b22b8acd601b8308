"""Softmax regression and the MLP against matrix products."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.models.linear import mlp, softmax_regression

X = np.random.default_rng(0).standard_normal((3, 4, 5, 2), dtype=np.float32)


def test_softmax_regression_is_one_affine_map():
    model = softmax_regression(X.shape[1:], 6, init=Initializer(0))
    assert model.order == ("flatten", "output")
    model.output.bias[...] = np.arange(6, dtype=np.float32)
    expected = X.reshape(3, 40) @ np.asarray(model.output.kernel[...]) + np.arange(6)
    np.testing.assert_allclose(model(jnp.asarray(X)), expected, rtol=1e-4, atol=1e-4)


def test_an_mlp_is_its_layers():
    model = mlp(X.shape[1:], 6, hidden=(7, 8), activation="sigmoid", dropout=0.25, init=Initializer(0))
    assert model.order == (
        "flatten", "dense1", "sigmoid1", "dropout1", "dense2", "sigmoid2", "dropout2", "output",
    )  # fmt: skip
    first, second, last = (np.asarray(layer.kernel[...]) for layer in (model.dense1, model.dense2, model.output))
    hidden = scipy.special.expit(scipy.special.expit(X.reshape(3, 40) @ first) @ second)
    np.testing.assert_allclose(model(jnp.asarray(X)), hidden @ last, rtol=1e-4, atol=1e-4)


def test_dropout_has_its_rate_and_is_there_only_when_asked_for():
    model = mlp((50,), 2, hidden=(1000,), dropout=0.25, init=Initializer(0))
    hidden = model.dropout1(jnp.ones((1, 1000)), Mode(train=True, key=jax.random.key(0)))
    assert 0.18 < (np.asarray(hidden) == 0).mean() < 0.32
    assert mlp((50,), 2, hidden=(3,), init=Initializer(0)).order == ("flatten", "dense1", "relu1", "output")
