"""Evaluation with convolutions folded: the same values in fewer passes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab.layers.activation import Gelu, Relu, Sigmoid, Swish, Tanh
from cnnlab.layers.compose import Residual, Sequential
from cnnlab.layers.conv import Conv, Dense
from cnnlab.layers.folded import Folded, folded
from cnnlab.layers.gate import SqueezeExcite
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.norm import BatchNorm
from cnnlab.layers.regularize import Dropout, StochasticDepth

FOLD = Mode(fold=True)
X = np.random.default_rng(0).normal(size=(2, 9, 8, 6)).astype(np.float32)


def conv(channels=6, features=6, kernel=3, **options):
    return Conv(channels, features, kernel, axes=2, init=Initializer(1), **options)


def norm(features=6):
    """With statistics and parameters of some training."""
    made, random = BatchNorm(features), np.random.default_rng(features)
    for variable in (made.scale, made.bias, made.mean):
        variable[...] = jnp.asarray(random.normal(size=features), jnp.float32)
    made.var[...] = jnp.asarray(random.uniform(0.5, 2, features), jnp.float32)
    return made


def plain_block(activation=None):
    return {"conv": conv(bias=False), "norm": norm(), "act": activation or Relu()}


MODELS = {
    "norm and activation": lambda: Sequential(plain_block()),
    "no norm": lambda: Sequential({"conv": conv(), "act": Relu(), "conv2": conv(), "act2": Gelu()}),
    "a bias and a norm": lambda: Sequential({"conv": conv(), "norm": norm(), "act": Swish()}),
    "tanh and sigmoid": lambda: Sequential({"conv": conv(), "act": Tanh(), "conv2": conv(), "act2": Sigmoid()}),
    "swish of its own": lambda: Sequential(plain_block(Swish(2.0))),
    "two norms": lambda: Sequential({"conv": conv(), "norm": norm(), "norm2": norm(), "act": Relu()}),
    "norm first": lambda: Sequential({"norm": norm(), "act": Relu(), "conv": conv()}),
    "reflected": lambda: Sequential({"conv": conv(padding_mode="reflect"), "norm": norm()}),
    "strided groups": lambda: Sequential({"conv": conv(stride=2, groups=3, dilation=2), "norm": norm()}),
    "residual": lambda: Residual(Sequential({"conv": conv(), "norm": norm()}), None, Relu()),
    "residual, other activation": lambda: Residual(Sequential({"conv": conv(), "norm": norm()}), None, Gelu()),
    "residual of one convolution": lambda: Residual(conv(), conv(kernel=1), Relu()),
    "projected": lambda: Residual(
        Sequential({**plain_block(), "conv2": conv(), "norm2": norm()}),
        Sequential({"conv": conv(kernel=1), "norm": norm()}),
        Relu(),
    ),
    "inverted": lambda: Residual(
        Sequential(
            {
                "first": Sequential(plain_block(Swish())),
                "gate": SqueezeExcite(6, 2, axes=2, init=Initializer(0)),
                "last": Sequential({"conv": conv(), "norm": norm()}),
                "stochastic_depth": StochasticDepth(0.5),
            }
        )
    ),
}


def program(model, mode):
    graph, state = nnx.split(model)
    return jax.jit(lambda x: nnx.merge(graph, state)(x, mode))


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_values_are_those_of_the_layers_one_by_one(make, dtype):
    model, x = make(), jnp.asarray(X, dtype)
    expected, found = (np.asarray(program(model, mode)(x), np.float64) for mode in (EVALUATION, FOLD))
    distance = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert distance < (1e-6 if dtype == "float32" else 2e-2)


def test_double_precision_stays_double():
    with jax.enable_x64(True):
        model = MODELS["projected"]()
        nnx.update(model, jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), nnx.state(model)))
        expected, found = (program(model, mode)(np.asarray(X, np.float64)) for mode in (EVALUATION, FOLD))
        assert found.dtype == jnp.float64
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "passes"),
    [("projected", 3), ("inverted", 2), ("no norm", 2), ("two norms", 1), ("tanh and sigmoid", 2)],
)
def test_each_convolution_takes_what_follows_it_along(name, passes):
    model = MODELS[name]()
    names = [equation.primitive.name for equation in jax.make_jaxpr(lambda x: model(x, FOLD))(X).eqns]
    assert names.count("convolution_after") == passes
    left = {"inverted": {"add"}, "two norms": {"sub"}}.get(name, set())
    assert left <= set(names)
    assert not {"tanh", "logistic"} & set(names) or name == "inverted"
    evaluated = [equation.primitive.name for equation in jax.make_jaxpr(lambda x: model(x, EVALUATION))(X).eqns]
    assert "convolution_after" not in evaluated


def test_layers_are_joined_in_order():
    first, behind, dense = conv(), norm(), Dense(3, 3, init=Initializer(0))
    assert folded([first, behind, Dropout(0.5), dense]) == [Folded(first, behind), dense]
    assert folded([behind, first]) == [behind, Folded(first, None)]
