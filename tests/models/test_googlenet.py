"""GoogLeNet: table 1 of Szegedy et al. (2015), published counts, its two classifiers that only training has."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import Array

from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.norm import BatchNorm
from cnnlab.layers.windows import ShapeError
from cnnlab.models.googlenet import FLATTENED, INCEPTIONS, TORCH_NAMES, GoogLeNet, googlenet
from cnnlab.models.heads import Heads
from cnnlab.trace.walk import trace
from cnnlab.train.state import split

IMAGE, SMALL = (224, 224, 3), (32, 32, 1)
# Enough of it for every kind of part: both pools between modules, both auxiliary classifiers.
FEW = dict.fromkeys(("3b", "4a", "4d", "4e"), (3, 2, 4, 2, 3, 2))


def sizes(shape: tuple[int, ...], **options) -> dict[str, tuple[int, ...]]:
    model = googlenet(shape, 10, init=Initializer(), **options)
    return {call.path: call.output_shapes[0] for call in trace(model, shape).calls}


def test_the_maps_are_those_of_table_1():
    of = sizes(IMAGE, auxiliary=False)
    stem = [of[f"stem.{name}"] for name in ("conv1", "pool1", "conv3", "pool2")]
    assert stem == [(112, 112, 64), (56, 56, 64), (56, 56, 192), (28, 28, 192)]
    table = {"3a": (28, 256), "3b": (28, 480), "4a": (14, 512), "4b": (14, 512), "4c": (14, 512), "4d": (14, 528),
             "4e": (14, 832), "5a": (7, 832), "5b": (7, 1024)}  # fmt: skip
    assert {name: of[f"inception{name}"] for name in INCEPTIONS} == {k: (n, n, c) for k, (n, c) in table.items()}
    assert (of["pool3"], of["pool4"], of["pool"], of["head"]) == ((14, 14, 480), (7, 7, 832), (1024,), (10,))


@pytest.mark.parametrize(
    ("shape", "maps"),
    [
        ((96, 75, 4), [(48, 38), (24, 19), (12, 9), (6, 4), (3, 2)]),
        ((100, 2), [(50,), (25,), (12,), (6,), (3,)]),
        ((33, 16, 40, 1), [(17, 8, 20), (8, 4, 10), (4, 2, 5), (2, 1, 2), (1, 1, 1)]),
    ],
)
def test_one_to_three_spatial_axes_of_any_size(shape, maps):
    """The last window of a pool may reach past the end: 19 positions become 9, and 4 become 2."""
    of = sizes(shape)
    names = ("stem.conv1", "stem.pool1", "stem.pool2", "pool3", "pool4")
    assert [of[name][:-1] for name in names] == maps
    assert of[""] == (10,)


def test_15_pixels_are_the_fewest():
    assert sizes((15, 15, 3))["pool4"] == (1, 1, 832)
    with pytest.raises(ShapeError) as caught:
        sizes((14, 15, 3))
    assert str(caught.value) == "layer pool3: the map is 1x2 here with its padding, smaller than the window 3x3"


def test_a_vector_is_refused():
    with pytest.raises(ShapeError) as caught:
        sizes((64,))
    assert str(caught.value) == "needs a map with spatial axes, and gets a vector of 64"


# ---------------------------------------------------------------- auxiliary classifiers


class Plus(nnx.Module):
    """x + n."""

    def __init__(self, n: float):
        self.n = n

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        return x + self.n


def test_training_returns_the_classifiers_of_4a_and_4d_and_evaluation_the_last_alone():
    parts = {"stem": Plus(1), "inception4a": Plus(10), "inception4b": Plus(100), "inception4d": Plus(1000)}
    model = GoogLeNet({**parts, "head": Plus(10_000)}, {"inception4a": Plus(0.5), "inception4d": Plus(0.25)})
    x = jnp.zeros((1, 1))
    assert model(x).item() == 11_111
    heads = model(x, Mode(train=True))
    assert isinstance(heads, Heads)
    assert heads.logits.item() == 11_111
    assert [logits.item() for logits in heads.auxiliary] == [11.5, 1111.25]
    assert heads.weight == 0.3


def test_the_auxiliary_classifiers_read_512_and_528_channels():
    model = googlenet(IMAGE, 7, init=Initializer())
    for aux, channels in ((model.aux1, 512), (model.aux2, 528)):
        assert aux.conv.conv.kernel.shape == (1, 1, channels, 128)
        assert aux.order == ("pool", "conv", "flatten", "dense", "act", "dropout", "head")
        assert (aux.dense.kernel.shape, aux.head.kernel.shape) == ((4 * 4 * 128, 1024), (1024, 7))


def test_every_normalisation_has_the_published_epsilon():
    model = googlenet(SMALL, 3, inceptions=FEW, init=Initializer())
    norms = [module for _, module in nnx.iter_modules(model) if isinstance(module, BatchNorm)]
    assert len(norms) == 3 + 4 * 6 + 2
    assert {norm.epsilon for norm in norms} == {0.001}


def test_without_auxiliary_classifiers_training_returns_logits():
    graph, params, stats = split(googlenet(SMALL, 3, inceptions=FEW, auxiliary=False, init=Initializer()))
    assert not [name for name in params if name.startswith("aux")]

    def forward(params, stats, x):
        return nnx.merge(graph, params, stats)(x, Mode(True, jax.random.key(0)))

    logits = jax.eval_shape(forward, params, stats, jnp.zeros((2, *SMALL)))
    assert (type(logits), logits.shape) == (jax.ShapeDtypeStruct, (2, 3))


# ---------------------------------------------------------------- options


def test_it_learns_in_every_parameter_and_draws_its_dropout_anew():
    model = googlenet((32, 1), 3, inceptions=FEW, activation="tanh", init=Initializer(0))
    graph, params, stats = split(model)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((4, 32, 1)), jnp.float32)

    @jax.jit
    def passed(params, stats, key):
        def loss(params):
            heads = nnx.merge(graph, params, stats)(x, Mode(True, key))
            return (heads.logits**2).sum() + sum((logits**2).sum() for logits in heads.auxiliary), heads

        gradient, heads = jax.grad(loss, has_aux=True)(params)
        return heads, jax.tree.map(lambda leaf: jnp.abs(leaf).max(), gradient)

    one, largest = passed(params, stats, jax.random.key(0))
    assert all(leaf > 1e-6 for leaf in jax.tree.leaves(largest))
    other, _ = passed(params, stats, jax.random.key(1))
    for a, b in zip((one.logits, *one.auxiliary), (other.logits, *other.auxiliary), strict=True):
        assert not np.allclose(a, b)


# ---------------------------------------------------------------- torch's names


def test_every_layer_has_one_name_in_torchvision():
    basic = ["conv1", "conv2", "conv3", "aux1.conv", "aux2.conv"]
    branches = ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1")
    basic += [f"inception{name}.{branch}" for name in INCEPTIONS for branch in branches]
    expected = {f"{name}.{part}" for name in basic for part in ("conv", "bn")}
    expected |= {"aux1.fc1", "aux1.fc2", "aux2.fc1", "aux2.fc2", "fc"}

    _, params, _ = split(googlenet(IMAGE, 1000, init=Initializer()))
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    modules = {jax.tree_util.keystr(path[:-1], simple=True, separator=".") for path, _ in leaves}
    found = set()
    for module in modules:
        (torch,) = {m.expand(to) for ours, to in TORCH_NAMES["torchvision"] if (m := re.fullmatch(ours, module))}
        found.add(torch)
    assert found == expected
    assert len(modules) == len(expected)
    for name, side in FLATTENED.items():
        aux, dense = name.split(".")
        assert params[aux][dense]["kernel"].shape[0] == side**2 * 128
