"""Network in Network: its count by formula, the authors' map sizes, and that no option is a dead one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.layers.windows import ShapeError
from cnnlab.models.network_in_network import NETWORKS, network_in_network
from cnnlab.trace.walk import trace
from cnnlab.train.state import split

SMALL = (8, 8, 1)


def weights(kernel: int, a: int, b: int) -> int:
    return kernel * a * b + b


def expected(axes: int, channels: int, classes: int) -> int:
    """Weights and biases of nine convolutions, written out."""
    first = weights(5**axes, channels, 192) + weights(1, 192, 160) + weights(1, 160, 96)
    second = weights(5**axes, 96, 192) + 2 * weights(1, 192, 192)
    return first + second + weights(3**axes, 192, 192) + weights(1, 192, 192) + weights(1, 192, classes)


def sizes(shape: tuple[int, ...], classes: int = 10) -> dict[str, tuple[int, ...]]:
    return {
        call.path: call.output_shapes[0]
        for call in trace(network_in_network(shape, classes, init=Initializer()), shape).calls
    }


def test_the_count_is_966_986_with_ten_classes_in_colour():
    assert expected(2, 3, 10) == 966_986
    for shape, classes in [((32, 32, 3), 10), ((32, 32, 1), 10), ((28, 20, 4), 3), ((50, 2), 5), ((8, 9, 4, 1), 2)]:
        model = NETWORKS["network_in_network"](shape, classes, init=Initializer())
        count = sum(leaf.size for leaf in jax.tree.leaves(split(model)[1]))
        assert count == expected(len(shape) - 1, shape[-1], classes)


@pytest.mark.parametrize(
    ("shape", "first", "second"),
    [
        ((32, 32, 3), (16, 16), (8, 8)),
        ((28, 28, 1), (14, 14), (7, 7)),
        ((17, 4, 3), (8, 2), (4, 1)),
        ((100, 2), (50,), (25,)),
        ((8, 6, 5, 1), (4, 3, 2), (2, 1, 1)),
    ],
)
def test_the_maps(shape, first, second):
    """A window of 3 at every second position, the last one over the end: half as many, rounded down."""
    of = sizes(shape)
    assert (of["stage1"], of["stage2"], of["stage3"]) == ((*first, 96), (*second, 192), (*second, 192))
    assert (of["head"], of["pool"], of[""]) == ((*second, 10), (10,), (10,))
    assert of["stage1.conv1.conv"][:-1] == shape[:-1]


def test_the_parts_are_stages_and_a_head_of_a_map_a_class():
    model = network_in_network((32, 32, 3), 7, init=Initializer())
    assert model.order == ("stage1", "stage2", "stage3", "head", "act", "pool")
    assert model.head.kernel.shape == (1, 1, 192, 7)
    assert [type(getattr(model, stage).pool).__name__ for stage in ("stage1", "stage2")] == ["MaxPool", "AvgPool"]


def test_a_logit_is_the_mean_of_its_rectified_map():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, *SMALL)), jnp.float32)
    model = network_in_network(SMALL, 3, init=Initializer(0))
    maps, logits = jax.jit(lambda x: (model.head(model.stage3(model.stage2(model.stage1(x)))), model(x)))(x)
    assert maps.shape == (2, 2, 2, 3)
    np.testing.assert_allclose(logits, np.maximum(np.asarray(maps), 0).mean((1, 2)), rtol=1e-5, atol=1e-6)


def test_4_pixels_are_the_fewest():
    assert sizes((4, 4, 3))["stage2"] == (1, 1, 192)
    with pytest.raises(ShapeError) as caught:
        sizes((3, 4, 3))
    assert str(caught.value) == "layer stage2: the map is 1x2 here with its padding, smaller than the window 3x3"


def test_a_vector_is_refused():
    with pytest.raises(ShapeError) as caught:
        sizes((64,))
    assert str(caught.value) == "needs a map with spatial axes, and gets a vector of 64"


@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_it_learns_in_every_parameter_and_draws_its_dropout_anew(normalization):
    model = network_in_network((16, 2), 3, normalization=normalization, init=Initializer(0))
    graph, params, stats = split(model)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((4, 16, 2)), jnp.float32)

    @jax.jit
    def passed(params, stats, key):
        def loss(params):
            logits = nnx.merge(graph, params, stats)(x, Mode(True, key))
            return (logits**2).sum(), logits

        gradient, logits = jax.grad(loss, has_aux=True)(params)
        return logits, jax.tree.map(lambda leaf: jnp.abs(leaf).max(), gradient)

    logits, largest = passed(params, stats, jax.random.key(0))
    assert all(leaf > 0 for leaf in jax.tree.leaves(largest))
    assert not np.allclose(logits, passed(params, stats, jax.random.key(1))[0])
