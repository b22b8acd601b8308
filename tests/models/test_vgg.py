"""VGG: table 1 of Simonyan and Zisserman (2015), published counts, and that no option is a dead one."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.layers.windows import ShapeError
from cnnlab.models.vgg import FLATTENED, NETWORKS, TORCH_NAMES, vgg
from cnnlab.receptive_field.fields import fields
from cnnlab.trace.walk import trace
from cnnlab.train.state import split

IMAGE, SMALL = (224, 224, 3), (32, 32, 1)
# Table 1's columns A, B, D and E: the channels of each convolution, M for a maximum.
TABLE: dict[int, list[int | str]] = {
    11: [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    13: [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    16: [64, 64, "M", 128, 128, "M", *[256] * 3, "M", *[512] * 3, "M", *[512] * 3, "M"],
    19: [64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M"],
}


def counted(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("depth", TABLE)
def test_the_convolutions_are_those_of_table_1(depth):
    """As many layers with weights as the name says, all 3x3, and the map halved at each maximum."""
    model = NETWORKS[f"vgg{depth}"](IMAGE, 1000, init=Initializer())
    rows = [(call.kind, call.output_shapes[0]) for call in trace(model, IMAGE).calls if call.leaf]
    assert sum(kind in ("Conv", "Dense") for kind, _ in rows) == depth
    expected, side, channels = [], 224, 3
    for entry in TABLE[depth]:
        side = side // 2 if entry == "M" else side
        channels = channels if entry == "M" else entry
        expected.append(("MaxPool" if entry == "M" else "Conv", (side, side, channels)))
    assert [row for row in rows if row[0] in ("Conv", "MaxPool")] == expected
    kernels = [leaf for leaf in jax.tree.leaves(split(model)[1]) if leaf.ndim == 4]
    assert {kernel.shape[:2] for kernel in kernels} == {(3, 3)}
    assert rows[-1] == ("Dense", (1000,))


def test_the_receptive_field_is_212_pixels():
    """Of VGG-16 after its last maximum (Araujo, Norris and Sim 2019); its stride is 32."""
    layers = {
        layer.path: layer for layer in fields(trace(NETWORKS["vgg16"](IMAGE, 10, init=Initializer()), IMAGE)).layers
    }
    field = layers["stage5.pool30"].axes[0]
    assert field is not None
    assert (field.size, field.stride) == ((212, 212), 32)


@pytest.mark.parametrize(
    ("shape", "last"),
    [
        ((32, 32, 3), (1, 1, 32)),
        ((65, 224, 4), (2, 7, 32)),
        ((500, 2), (15, 32)),
        ((32, 40, 33, 1), (1, 1, 1, 32)),
    ],
)  # fmt: skip
def test_one_to_three_spatial_axes_of_any_size(shape, last):
    model = NETWORKS["vgg11"](shape, 5, width=4, hidden=6, init=Initializer())
    of = {call.path: call.output_shapes[0] for call in trace(model, shape).calls}
    axes = len(shape) - 1
    assert (of["stage5"], of["classifier.pool"], of[""]) == (last, (*(7,) * axes, 32), (5,))
    widths = [shape[-1], 4, 8, 16, 16, 32, 32, 32, 32]
    convolutions = sum(3**axes * a * b + b for a, b in itertools.pairwise(widths))
    assert counted(split(model)[1]) == convolutions + (7**axes * 32 + 1) * 6 + 7 * 6 + 7 * 5


def test_32_pixels_are_the_fewest():
    assert trace(NETWORKS["vgg11"]((32, 32, 3), 10, init=Initializer()), (32, 32, 3)).output_shape == (10,)
    for name in NETWORKS:
        with pytest.raises(ShapeError) as caught:
            NETWORKS[name]((32, 31, 3), 10, init=Initializer())
        assert str(caught.value) == "layer stage5: the map is 2x1 here, smaller than the window 2x2"


def test_a_vector_is_refused():
    with pytest.raises(ShapeError) as caught:
        NETWORKS["vgg16"]((64,), 10, init=Initializer())
    assert str(caught.value) == "needs a map with spatial axes, and gets a vector of 64"


# ---------------------------------------------------------------- options


def computation(name: str, **options) -> str:
    """What a training pass computes, parameters as inputs: two networks of one text are the same."""
    graph, params, stats = split(NETWORKS[name](SMALL, 3, init=Initializer(), **options))

    def forward(params, stats, x):
        return nnx.merge(graph, params, stats)(x, Mode(True, jax.random.key(0)))

    return str(jax.make_jaxpr(forward)(params, stats, jnp.zeros((2, *SMALL))))


def test_the_two_forms_of_a_depth_are_one_network_under_another_normalisation():
    assert computation("vgg13_bn") == computation("vgg13", normalization="batch")
    assert computation("vgg13_bn", normalization="none") == computation("vgg13")


def test_dropout_comes_after_each_hidden_layer():
    classifier = NETWORKS["vgg11"](SMALL, 3, init=Initializer()).classifier
    assert classifier.order == ("pool", "flatten", "dense1", "act1", "dropout1", "dense2", "act2", "dropout2")


@pytest.mark.parametrize("batch_norm", [False, True])
def test_it_learns_in_every_parameter_and_draws_its_dropout_anew(batch_norm):
    """But for the biases before a batch normalisation, which takes any constant away: their gradient is 0."""
    stages = (1, 1, 1, 1, 2)
    made = vgg((64, 1), 3, stages=stages, batch_norm=batch_norm, width=4, hidden=32, init=Initializer(0))
    graph, params, stats = split(made)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((4, 64, 1)), jnp.float32)

    @jax.jit
    def passed(params, stats, key):
        def loss(params):
            logits = nnx.merge(graph, params, stats)(x, Mode(True, key))
            return (logits**2).sum(), logits

        gradient, logits = jax.grad(loss, has_aux=True)(params)
        return logits, jax.tree.map(lambda leaf: jnp.abs(leaf).max(), gradient)

    logits, largest = passed(params, stats, jax.random.key(0))
    for path, leaf in jax.tree_util.tree_flatten_with_path(largest)[0]:
        where = jax.tree_util.keystr(path, simple=True, separator=".")
        if batch_norm and re.fullmatch(r"stage\d\.conv\d+\.bias", where):
            assert leaf < 1e-3, where
        else:
            assert leaf > 1e-3, where
    assert not np.allclose(logits, passed(params, stats, jax.random.key(1))[0])


# ---------------------------------------------------------------- torch's names


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_has_one_name_in_torchvision(name):
    """The numbers are those of a flat list in which convolution, normalisation, ReLU and maximum each count."""
    expected, number = [], 0
    for entry in TABLE[int(re.sub(r"\D", "", name))]:
        normalised = name.endswith("_bn")
        if entry != "M":
            expected += [f"features.{number}"] + [f"features.{number + 1}"] * normalised
        number += 1 if entry == "M" else 2 + normalised
    expected += ["classifier.0", "classifier.3", "classifier.6"]

    _, params, _ = split(NETWORKS[name](IMAGE, 1000, init=Initializer()))
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    found = set()
    for module in {jax.tree_util.keystr(path[:-1], simple=True, separator=".") for path, _ in leaves}:
        (torch,) = {m.expand(to) for ours, to in TORCH_NAMES["torchvision"] if (m := re.fullmatch(ours, module))}
        found.add(torch)
    assert found == set(expected)
    assert params["classifier"]["dense1"]["kernel"].shape[0] == FLATTENED["classifier.dense1"] ** 2 * 512
