"""AlexNet: published counts, map sizes and receptive field, what it refuses, and that no option is a dead one."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.layers.windows import ShapeError
from cnnlab.models.alexnet import FLATTENED, NETWORKS, TORCH_NAMES, alexnet
from cnnlab.receptive_field.fields import fields
from cnnlab.trace.cost import cost, totals
from cnnlab.trace.walk import trace
from cnnlab.train.state import split

SMALL = (63, 63, 1)


def parameters(shape: tuple[int, ...], classes: int, **options) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(split(alexnet(shape, classes, init=Initializer(), **options))[1]))


def convolutions(channels: int) -> int:
    """Weights and biases of the five convolutions."""
    widths = ((11, channels, 64), (5, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256))
    return sum(k * k * a * b + b for k, a, b in widths)


@pytest.mark.parametrize("shape", [(224, 224, 1), (224, 224, 3), (63, 70, 3), (300, 64, 5)])
@pytest.mark.parametrize("classes", [2, 1000])
def test_the_parameters_depend_on_channels_and_classes_alone(shape, classes):
    dense = (6 * 6 * 256 + 1) * 4096 + 4097 * 4096 + 4097 * classes
    assert parameters(shape, classes) == convolutions(shape[-1]) + dense
    made = alexnet(shape, classes, init=Initializer())
    assert trace(made, shape).output_shape == (classes,)


def test_published_figures():
    """torchvision's 61,100,840 parameters and 0.71 G multiply-adds, and 195 pixels (Araujo, Norris and Sim 2019)."""
    shape = (224, 224, 3)
    assert parameters(shape, 1000) == 61_100_840
    model = NETWORKS["alexnet"](shape, 1000, init=Initializer())
    traced = trace(model, shape)
    assert round(totals(cost(traced, model)).multiply_adds / 1e9, 2) == 0.71
    field = {layer.path: layer for layer in fields(traced).layers}["stage3.pool"].axes[0]
    assert field is not None
    assert (field.size, field.stride) == ((195, 195), 32)


def test_the_maps_at_224_pixels():
    model = alexnet((224, 224, 3), 1000, init=Initializer())
    of = {call.path: call.output_shapes[0] for call in trace(model, (224, 224, 3)).calls}
    assert [of[f"stage{i}"] for i in (1, 2, 3)] == [(27, 27, 64), (13, 13, 192), (6, 6, 256)]
    assert [of[f"stage3.conv{i}"] for i in (1, 2, 3)] == [(13, 13, 384), (13, 13, 256), (13, 13, 256)]
    assert [of[name] for name in ("stage1.conv1", "classifier", "head")] == [(55, 55, 64), (4096,), (1000,)]


def test_63_pixels_are_the_fewest():
    assert trace(alexnet((63, 63, 3), 10, init=Initializer()), (63, 63, 3)).output_shape == (10,)
    with pytest.raises(ShapeError) as caught:
        alexnet((62, 63, 3), 10, init=Initializer())
    assert str(caught.value) == "layer stage3: the map is 2x3 here, smaller than the window 3x3"


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ((224, 3), "takes 2 spatial axes, and the input has 1; give it images, [height, width, channels]"),
        ((64, 64, 64, 3), "takes 2 spatial axes, and the input has 3; give it images, [height, width, channels]"),
        ((64,), "needs a map with spatial axes, and gets a vector of 64"),
    ],
)
def test_only_images_are_taken(shape, sentence):
    with pytest.raises(ShapeError) as caught:
        alexnet(shape, 10, init=Initializer())
    assert str(caught.value) == sentence


# ---------------------------------------------------------------- options


def test_a_normalisation_replaces_the_bias_of_its_convolution():
    channels = 64 + 192 + 384 + 256 + 256
    for normalization in ("batch", "group", "instance", "layer"):
        added = parameters(SMALL, 3, normalization=normalization) - parameters(SMALL, 3)
        assert added == 2 * channels - channels


def test_dropout_comes_before_each_hidden_layer():
    classifier = alexnet(SMALL, 3, init=Initializer()).classifier
    assert classifier.order == ("pool", "flatten", "dropout1", "dense1", "act1", "dropout2", "dense2", "act2")


def test_it_learns_in_every_parameter_and_draws_its_dropout_anew():
    graph, params, stats = split(alexnet(SMALL, 3, hidden=32, init=Initializer(0)))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, *SMALL)), jnp.float32)

    @jax.jit
    def passed(params, key):
        def loss(params):
            logits = nnx.merge(graph, params, stats)(x, Mode(True, key))
            return (logits**2).sum(), logits

        gradient, logits = jax.grad(loss, has_aux=True)(params)
        return logits, jax.tree.map(lambda leaf: jnp.abs(leaf).max(), gradient)

    logits, largest = passed(params, jax.random.key(0))
    assert all(leaf > 0 for leaf in jax.tree.leaves(largest))
    assert not np.allclose(logits, passed(params, jax.random.key(1))[0])


# ---------------------------------------------------------------- torch's names


def test_every_layer_has_one_name_in_torchvision():
    _, params, _ = split(alexnet(SMALL, 3, init=Initializer()))
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    modules = dict.fromkeys(jax.tree_util.keystr(path[:-1], simple=True, separator=".") for path, _ in leaves)
    found = {}
    for module in modules:
        (found[module],) = {
            match.expand(theirs) for ours, theirs in TORCH_NAMES["torchvision"] if (match := re.fullmatch(ours, module))
        }
    assert found == {
        "stage1.conv1": "features.0",
        "stage2.conv1": "features.3",
        "stage3.conv1": "features.6",
        "stage3.conv2": "features.8",
        "stage3.conv3": "features.10",
        "classifier.dense1": "classifier.1",
        "classifier.dense2": "classifier.4",
        "head": "classifier.6",
    }
    assert params["classifier"]["dense1"]["kernel"].shape[0] == FLATTENED["classifier.dense1"] ** 2 * 256
