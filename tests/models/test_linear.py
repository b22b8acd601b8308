"""Networks of dense layers against matrix products and the logistic function."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from flax import nnx

from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.layers.windows import ShapeError
from cnnlab.losses.classification import cross_entropy
from cnnlab.models.linear import NETWORKS, AgainstZero, logistic_regression, mlp, perceptron, softmax_regression
from cnnlab.train.state import split

X = np.random.default_rng(0).standard_normal((3, 4, 5, 2), dtype=np.float32)
FLAT = X.reshape(3, 40)


def parameters(model) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(split(model)[1]))


@pytest.mark.parametrize("shape", [(40,), (20, 2), (4, 5, 2), (2, 2, 5, 2)])
def test_parameters_and_outputs_for_every_number_of_axes(shape):
    """n weights and a bias for each unit: one for two classes, or one a class."""
    units = {"perceptron": 1, "logistic_regression": 1, "softmax_regression": 2}
    for name, count in units.items():
        model = NETWORKS[name](shape, 2, init=Initializer())
        assert parameters(model) == 41 * count
        assert model(jnp.zeros((3, *shape))).shape == (3, 2)
    for name in ("perceptron", "softmax_regression"):
        model = NETWORKS[name](shape, 3, init=Initializer())
        assert parameters(model) == 41 * 3
        assert model(jnp.zeros((3, *shape))).shape == (3, 3)


# ---------------------------------------------------------------- perceptron


@pytest.mark.parametrize("classes", [2, 3])
def test_a_perceptron_starts_at_zero_and_gives_its_units_scores(classes):
    model = perceptron(X.shape[1:], classes, init=Initializer(0))
    units = 1 if classes == 2 else classes
    assert np.array_equal(model.head.kernel[...], np.zeros((40, units)))
    weights, bias = np.random.default_rng(1).standard_normal((40, units), np.float32), np.float32(0.5)
    model.head.kernel[...], model.head.bias[...] = weights, np.full(units, bias)
    scores = FLAT @ weights + bias
    expected = np.hstack([np.zeros((3, 1)), scores]) if classes == 2 else scores
    np.testing.assert_allclose(model(jnp.asarray(X)), expected, rtol=1e-4, atol=1e-4)


def test_the_largest_logit_of_one_unit_is_its_threshold():
    scores = jnp.array([[-1.5], [-1e-6], [0.0], [1e-6], [2.0]])
    assert AgainstZero()(scores).argmax(-1).tolist() == [0, 0, 0, 1, 1]


def test_a_rule_for_initial_weights_goes_before_the_perceptrons_zero():
    model = perceptron((40,), 3, init=Initializer(0).using("he_normal"))
    assert np.std(model.head.kernel[...]) == pytest.approx((2 / 40) ** 0.5, rel=0.2)


# ---------------------------------------------------------------- regression


def test_logistic_regression_has_the_logistic_function_as_its_probability():
    model = logistic_regression(X.shape[1:], 2, init=Initializer(0))
    model.head.bias[...] = np.full(1, 0.25, np.float32)
    z = FLAT @ np.asarray(model.head.kernel[...]) + 0.25
    probabilities = scipy.special.softmax(np.asarray(model(jnp.asarray(X))), -1)
    np.testing.assert_allclose(
        probabilities, np.hstack([1 - scipy.special.expit(z), scipy.special.expit(z)]), rtol=1e-4
    )


def test_logistic_regression_has_the_gradient_of_the_textbook():
    """(sigmoid(z) - y) x, for the cross-entropy."""
    model = logistic_regression(X.shape[1:], 2, init=Initializer(0))
    y = np.array([0, 1, 1])

    def loss(kernel: jax.Array) -> jax.Array:
        z = jnp.asarray(FLAT) @ kernel
        return cross_entropy(AgainstZero()(z), jnp.asarray(y)).sum()

    kernel = np.asarray(model.head.kernel[...])
    expected = ((scipy.special.expit(FLAT @ kernel) - y[:, None]) * FLAT).sum(0)
    np.testing.assert_allclose(jax.grad(loss)(jnp.asarray(kernel))[:, 0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("classes", [1, 3, 1000])
def test_logistic_regression_is_for_two_classes(classes):
    with pytest.raises(ShapeError) as caught:
        logistic_regression((4,), classes, init=Initializer())
    assert str(caught.value) == (
        f"tells two classes apart, and there are {classes}; "
        "use softmax_regression, or give model.classes: 2 where there is no data"
    )


def test_softmax_regression_is_one_affine_map():
    model = softmax_regression(X.shape[1:], 6, init=Initializer(0))
    assert model.order == ("flatten", "output")
    model.output.bias[...] = np.arange(6, dtype=np.float32)
    expected = FLAT @ np.asarray(model.output.kernel[...]) + np.arange(6)
    np.testing.assert_allclose(model(jnp.asarray(X)), expected, rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------- mlp


def test_an_mlp_is_its_layers():
    model = mlp(X.shape[1:], 6, hidden=(7, 8), activation="sigmoid", dropout=0.25, init=Initializer(0))
    assert model.order == (
        "flatten", "dense1", "sigmoid1", "dropout1", "dense2", "sigmoid2", "dropout2", "output",
    )  # fmt: skip
    first, second, last = (np.asarray(layer.kernel[...]) for layer in (model.dense1, model.dense2, model.output))
    hidden = scipy.special.expit(scipy.special.expit(FLAT @ first) @ second)
    np.testing.assert_allclose(model(jnp.asarray(X)), hidden @ last, rtol=1e-4, atol=1e-4)


def test_dropout_has_its_rate_and_is_there_only_when_asked_for():
    model = mlp((50,), 2, hidden=(1000,), dropout=0.25, init=Initializer(0))
    hidden = model.dropout1(jnp.ones((1, 1000)), Mode(train=True, key=jax.random.key(0)))
    assert 0.18 < (np.asarray(hidden) == 0).mean() < 0.32
    assert mlp((50,), 2, hidden=(3,), init=Initializer(0)).order == ("flatten", "dense1", "relu1", "output")


def test_an_mlp_learns_in_every_parameter_and_draws_its_dropout_anew():
    model = mlp((40,), 3, hidden=(16, 16), dropout=0.5, init=Initializer(0))
    x = jnp.asarray(FLAT)
    one, same, other = (model(x, Mode(True, jax.random.key(seed))) for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)
    graph, params, stats = split(model)
    gradient = jax.grad(lambda params: (nnx.merge(graph, params, stats)(x) ** 2).sum())(params)
    assert all(jnp.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))
