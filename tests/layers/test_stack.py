"""Building with the shape known: what it follows, and how it names what does not fit."""

import jax.numpy as jnp
import pytest

from cnnlab.layers.activation import Relu
from cnnlab.layers.compose import Residual
from cnnlab.layers.conv import Conv, Dense
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.pool import GlobalAvgPool, MaxPool
from cnnlab.layers.resample import Flatten
from cnnlab.layers.stack import Stack
from cnnlab.layers.windows import ShapeError

INIT = Initializer(0)


def test_the_shape_is_followed_layer_by_layer():
    stack = Stack((9, 8, 3))
    assert (stack.axes, stack.channels) == (2, 3)
    stack.add("conv", lambda: Conv(3, 5, 3, axes=2, padding="valid", init=INIT))
    assert stack.shape == (7, 6, 5)
    stack.add("pool", lambda: MaxPool(2, axes=2))
    assert (stack.shape, stack.axes, stack.channels) == ((3, 3, 5), 2, 5)
    stack.add("flatten", Flatten)
    assert (stack.shape, stack.axes, stack.channels) == ((45,), 0, 45)
    stack.add("dense", lambda: Dense(stack.channels, 4, init=INIT))
    model = stack.build()
    assert model.order == ("conv", "pool", "flatten", "dense")
    assert model(jnp.ones((2, 9, 8, 3))).shape == (2, 4)


def test_an_error_names_the_layer_whether_it_comes_at_building_or_at_the_map():
    stack = Stack((2, 2, 3))
    stack.add("relu", Relu)
    with pytest.raises(ShapeError) as caught:
        stack.add("pool", lambda: MaxPool(3, axes=2))
    assert str(caught.value) == "layer pool: the map is 2x2 here, smaller than the window 3x3"
    with pytest.raises(ShapeError) as caught:
        stack.add("conv", lambda: Conv(3, 4, 1, axes=2, groups=2, init=INIT), where="model.layers[1] (conv 1)")
    assert str(caught.value) == "model.layers[1] (conv 1): 2 groups do not divide the 3 input channels"
    with pytest.raises(ShapeError) as caught:
        stack.add("dense", lambda: Dense(3, 4, init=INIT))
    assert str(caught.value).startswith("layer dense: takes a vector")
    assert caught.value.hint == "put flatten or global_avg_pool before it"
    assert stack.shape == (2, 2, 3)
    assert stack.build().order == ("relu",)


def test_the_innermost_name_stays():
    def inside() -> Residual:
        inner = Stack((4, 2))
        inner.add("pool", lambda: MaxPool(5, axes=1))
        return Residual(inner.build())

    with pytest.raises(ShapeError) as caught:
        Stack((4, 2)).add("block", inside, where="outer")
    assert caught.value.where == "layer pool"


@pytest.mark.parametrize("name", ["pool", "order", "eval", "__call__"])
def test_a_name_that_is_taken_is_refused(name):
    stack = Stack((4, 2))
    stack.add("pool", GlobalAvgPool)
    with pytest.raises(ShapeError) as caught:
        stack.add(name, Relu, where="model.layers[1] (relu)")
    assert str(caught.value) == f"model.layers[1] (relu): the name '{name}' is taken; choose another"
