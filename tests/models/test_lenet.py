"""LeNet: the counts of LeCun et al. (1989), its units in loops; the sizes of figure 2 of LeCun et al. (1998)."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.layers.windows import ShapeError
from cnnlab.models.lenet import lenet5, lenet1989
from cnnlab.trace.cost import cost, totals
from cnnlab.trace.walk import trace
from cnnlab.train.state import split


def computation(make, shape: tuple[int, ...], **options) -> str:
    """What a training pass computes, parameters as inputs: two networks of one text are the same."""
    graph, params, stats = split(make(shape, 10, init=Initializer(), **options))

    def forward(params, stats, x):
        return nnx.merge(graph, params, stats)(x, Mode(True, jax.random.key(0)))

    return str(jax.make_jaxpr(forward)(params, stats, jnp.zeros((2, *shape))))


def sizes(make, shape: tuple[int, ...], **options: str) -> dict[str, tuple[int, ...]]:
    return {c.path: c.output_shapes[0] for c in trace(make(shape, 10, init=Initializer(), **options), shape).calls}


@pytest.mark.parametrize("make", [lenet1989, lenet5])
def test_every_parameter_learns(make):
    graph, params, stats = split(make((16, 16, 2), 3, init=Initializer(0)))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 16, 16, 2)), jnp.float32)
    gradient = jax.jit(jax.grad(lambda params: (nnx.merge(graph, params, stats)(x) ** 2).sum()))(params)
    assert all(jnp.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))


# ---------------------------------------------------------------- 1989


def test_the_1989_net_has_the_papers_parameters_connections_and_units():
    """1,256 units, 64,660 connections, 9,760 independent parameters, in all and by layer."""
    model = lenet1989((16, 16, 1), 10, init=Initializer())
    rows = cost(trace(model, (16, 16, 1)), model)
    layers = {
        "h1": [row for row in rows if row.path in ("h1", "h1_bias")],
        "h2": [row for row in rows if row.path.startswith("h2.") or row.path == "h2_bias"],
        "h3": [row for row in rows if row.path == "h3"],
        "output": [row for row in rows if row.path == "head"],
    }
    units = {name: math.prod(layer[-1].output_shape) for name, layer in layers.items()}
    connections = {name: sum(row.multiply_adds for row in layers[name]) + units[name] for name in layers}  # and biases
    assert {name: totals(layer).parameters for name, layer in layers.items()} == {
        "h1": 1_068, "h2": 2_592, "h3": 5_790, "output": 310,
    }  # fmt: skip
    assert connections == {"h1": 19_968, "h2": 38_592, "h3": 5_790, "output": 310}
    assert totals(rows).parameters == 9_760
    assert sum(connections.values()) == 64_660
    assert 16 * 16 + sum(units.values()) == 1_256


def unit(x: np.ndarray, kernel: np.ndarray, i: int, j: int) -> np.ndarray:
    """The weighted sum of a 5x5 window around position (2 i, 2 j), zero beyond the border."""
    total = np.zeros(kernel.shape[-1])
    for a in range(5):
        for b in range(5):
            row, column = 2 * i + a - 2, 2 * j + b - 2
            if 0 <= row < x.shape[0] and 0 <= column < x.shape[1]:
                total += x[row, column] @ kernel[a, b]
    return total


def test_the_1989_net_is_its_units():
    """Every unit of both layers in loops: its window, the maps that it sees, its own bias."""
    model = lenet1989((7, 6, 2), 3, init=Initializer(0))
    random = np.random.default_rng(0)
    b1, b2 = random.standard_normal((4, 3, 12)), random.standard_normal((2, 2, 12))
    model.h1_bias.bias[...], model.h2_bias.bias[...] = b1.ravel().astype("f"), b2.ravel().astype("f")
    x = random.standard_normal((7, 6, 2)).astype("f")

    h1, h2 = np.zeros((4, 3, 12)), np.zeros((2, 2, 12))
    for i, j in np.ndindex(4, 3):
        h1[i, j] = 1.7159 * np.tanh(2 / 3 * (unit(x, np.asarray(model.h1.kernel[...]), i, j) + b1[i, j]))
    seen = ([0, 1, 2, 3, 4, 5, 6, 7], [4, 5, 6, 7, 8, 9, 10, 11], [0, 1, 2, 3, 8, 9, 10, 11])
    for third, maps in enumerate(seen):
        kernel = np.asarray(getattr(model.h2, f"third{third + 1}").conv.kernel[...])
        for i, j in np.ndindex(2, 2):
            h2[i, j, 4 * third : 4 * third + 4] = unit(h1[:, :, maps], kernel, i, j)
    h2 = 1.7159 * np.tanh(2 / 3 * (h2 + b2))
    h3 = 1.7159 * np.tanh(2 / 3 * (h2.ravel() @ np.asarray(model.h3.kernel[...])))
    logits = h3 @ np.asarray(model.head.kernel[...])
    np.testing.assert_allclose(model(jnp.asarray(x[None]))[0], logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "h1", "h2"),
    [
        ((16, 16, 1), (8, 8, 12), (4, 4, 12)),
        ((15, 13, 3), (8, 7, 12), (4, 4, 12)),
        ((28, 28, 1), (14, 14, 12), (7, 7, 12)),
        ((1, 1, 1), (1, 1, 12), (1, 1, 12)),
        ((16, 2), (8, 12), (4, 12)),
        ((8, 6, 4, 1), (4, 3, 2, 12), (2, 2, 1, 12)),
    ],
)
def test_the_1989_net_halves_any_map_twice(shape, h1, h2):
    of = sizes(lenet1989, shape)
    assert (of["h1"], of["h2"], of["h3"], of[""]) == (h1, h2, (30,), (10,))
    axes = len(shape) - 1
    weights = 5**axes * shape[-1] * 12 + math.prod(h1) + 5**axes * 8 * 12 + math.prod(h2)
    model = lenet1989(shape, 10, init=Initializer())
    expected = weights + (math.prod(h2) + 1) * 30 + 31 * 10
    assert sum(leaf.size for leaf in jax.tree.leaves(split(model)[1])) == expected


def test_the_1989_nets_activation_is_the_named_one():
    default = computation(lenet1989, (16, 16, 1))
    assert default == computation(lenet1989, (16, 16, 1), activation="scaled_tanh")
    assert default != computation(lenet1989, (16, 16, 1), activation="relu")


@pytest.mark.parametrize(("make", "layer"), [(lenet1989, "h1"), (lenet5, "c1")])
def test_a_vector_is_refused(make, layer):
    with pytest.raises(ShapeError) as caught:
        make((64,), 10, init=Initializer())
    assert str(caught.value) == f"layer {layer}: needs a map with spatial axes, and gets a vector of 64"


# ---------------------------------------------------------------- 1998


def test_the_maps_are_those_of_figure_2():
    of = sizes(lenet5, (32, 32, 1))
    assert [of[name] for name in ("c1", "s2", "c3", "s4")] == [(28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16)]
    assert [of[name] for name in ("flatten", "c5", "f6", "output")] == [(400,), (120,), (84,), (10,)]


def test_the_layers_come_in_the_papers_order_each_with_its_activation():
    assert list(sizes(lenet5, (32, 32, 1)))[1:] == [
        "c1", "c1_tanh", "s2", "c3", "c3_tanh", "s4", "flatten", "c5", "c5_tanh", "f6", "f6_tanh", "output",
    ]  # fmt: skip


@pytest.mark.parametrize(("pooling", "kind"), [("avg", "AvgPool"), ("max", "MaxPool")])
def test_pooling_and_activation_are_the_named_ones(pooling, kind):
    model = lenet5((28, 28, 1), 10, pooling=pooling, activation="leaky_relu", init=Initializer())
    kinds = [call.kind for call in trace(model, (28, 28, 1)).calls]
    assert kinds.count(kind) == 2
    assert kinds.count("LeakyRelu") == 4


def test_no_option_of_lenet5_is_ignored():
    default = computation(lenet5, (32, 32, 1))
    assert default == computation(lenet5, (32, 32, 1), activation="tanh", pooling="avg")
    assert default != computation(lenet5, (32, 32, 1), activation="relu")
    assert default != computation(lenet5, (32, 32, 1), pooling="max")


def test_one_and_three_spatial_axes():
    assert sizes(lenet5, (32, 2))["s4"] == (5, 16)
    assert sizes(lenet5, (16, 16, 16, 1))["s4"] == (1, 1, 1, 16)


def test_lenet5_takes_16_pixels_and_more():
    assert sizes(lenet5, (16, 16, 3))["s4"] == (1, 1, 16)
    with pytest.raises(ShapeError) as caught:
        lenet5((15, 16, 3), 10, init=Initializer())
    assert str(caught.value) == "layer s4: the map is 1x2 here, smaller than the window 2x2"
