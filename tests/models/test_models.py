"""The table of networks: its names, its golden figures, and that no option is a dead one."""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab.errors import SpecError
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.layers.windows import ShapeError
from cnnlab.models import MODELS, PUBLISHED_CLASSES, build
from cnnlab.spec.architectures import ARCHITECTURES, NAMES, Architecture
from cnnlab.spec.load import parse
from cnnlab.trace.walk import trace


def network(model: str, input_shape: tuple[int, ...], classes: int | None) -> nnx.Module:
    """The network of a spec's `model:`, with shapes and no weights."""
    return build(parse(f"model: {{{model}}}", "test.yaml").model, input_shape, classes, init=Initializer())


def parameters(model: nnx.Module) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def dense(*units: int) -> int:
    """Weights and biases of dense layers from one count of units to the next."""
    return sum((a + 1) * b for a, b in itertools.pairwise(units))


def lenet(channels: int, side: int, classes: int) -> int:
    """Convolutions of 5x5 to 6 and to 16 maps, then 120, 84 and the classes."""
    last = ((side - 4) // 2 - 4) // 2
    return (25 * channels + 1) * 6 + (25 * 6 + 1) * 16 + dense(16 * last**2, 120, 84, classes)


def resnet(
    stages: tuple[int, ...], channels: int, classes: int, *, axes: int = 2, stem: int = 7, width: int = 64
) -> int:
    """Convolutions without bias, each with scale and bias of its normalisation, a projection where channels change."""
    total, inside = stem**axes * channels * width + 2 * width, width
    for stage, blocks in enumerate(stages):
        features = width * 2**stage
        for _ in range(blocks):
            total += 3**axes * inside * features + 3**axes * features**2 + 4 * features
            total += inside * features + 2 * features if inside != features else 0
            inside = features
    return total + dense(inside, classes)


SMALL, HALF = (2, 2, 2, 2), (3, 4, 6, 3)
# model, input, classes, parameters. Literal figures are published: LeCun et al. (1998) in the form that is taught,
# and torchvision's; the formulas stand above.
GOLDEN: list[tuple[str, tuple[int, ...], int, int]] = [
    ("name: softmax_regression", (8, 8, 1), 10, 650),
    ("name: softmax_regression", (64,), 10, 650),
    ("name: softmax_regression", (28, 28, 1), 10, 7_850),
    ("name: softmax_regression", (6, 7, 8, 2), 3, dense(6 * 7 * 8 * 2, 3)),
    ("name: mlp", (28, 28, 1), 10, dense(784, 256, 128, 10)),
    ("name: mlp, hidden: [300, 100]", (28, 28, 1), 10, 266_610),
    ("name: mlp, hidden: [5], dropout: 0.5, activation: tanh", (4,), 3, dense(4, 5, 3)),
    ("name: mlp, hidden: []", (4,), 3, 15),
    ("name: lenet5", (32, 32, 1), 10, 61_706),
    ("name: lenet5, pooling: max, activation: relu", (32, 32, 1), 10, 61_706),
    ("name: lenet5", (32, 32, 3), 10, 62_006),
    ("name: lenet5", (28, 28, 1), 26, lenet(1, 28, 26)),
    ("name: lenet5", (16, 16, 1), 4, lenet(1, 16, 4)),
    ("name: resnet18", (224, 224, 3), 1000, 11_689_512),
    ("name: resnet34", (224, 224, 3), 1000, 21_797_672),
    ("name: resnet18, stem: small", (32, 32, 3), 10, 11_173_962),
    ("name: resnet18, stem: small, width: 16", (8, 8, 1), 10, resnet(SMALL, 1, 10, stem=3, width=16)),
    ("name: resnet18", (64, 48, 1), 5, resnet(SMALL, 1, 5)),
    ("name: resnet18, width: 8", (100, 2), 5, resnet(SMALL, 2, 5, axes=1, width=8)),
    ("name: resnet18, width: 8", (16, 20, 24, 1), 2, resnet(SMALL, 1, 2, axes=3, width=8)),
    ("name: resnet34, stem: small, width: 4", (9, 9, 9, 2), 2, resnet(HALF, 2, 2, axes=3, stem=3, width=4)),
]


@pytest.mark.parametrize(("model", "input_shape", "classes", "count"), GOLDEN)
def test_golden_figures(model, input_shape, classes, count):
    made = network(model, input_shape, classes)
    assert parameters(made) == count
    assert trace(made, input_shape).output_shape == (classes,)


def test_every_network_has_golden_figures():
    assert {model.split(",")[0].removeprefix("name: ") for model, *_ in GOLDEN} == set(MODELS)


def test_the_table_and_the_schema_have_the_same_names():
    assert list(MODELS) == list(NAMES)


# ---------------------------------------------------------------- options

CHANGED: dict[tuple[str, str], str] = {
    ("mlp", "hidden"): "[7]",
    ("mlp", "activation"): "tanh",
    ("mlp", "dropout"): "0.5",
    ("lenet5", "activation"): "relu",
    ("lenet5", "pooling"): "max",
    ("resnet18", "stem"): "small",
    ("resnet18", "width"): "8",
    ("resnet34", "stem"): "small",
    ("resnet34", "width"): "8",
}


def computation(model: nnx.Module, input_shape: tuple[int, ...]) -> str:
    """What a training pass computes, parameters as inputs: two networks of one text are the same."""
    graph, state = nnx.split(model)

    def forward(state: Any, x: jax.Array, key: jax.Array) -> jax.Array:
        return nnx.merge(graph, state)(x, Mode(train=True, key=key))

    example = jax.ShapeDtypeStruct((2, *input_shape), jnp.float32)
    return str(jax.make_jaxpr(forward)(state, example, jax.random.key(0)))


def test_every_option_of_every_network_has_another_value_here():
    common = set(Architecture.model_fields) | {"name"}
    options = {(name, key) for cls in ARCHITECTURES for name in cls.tags for key in set(cls.model_fields) - common}
    assert options == set(CHANGED)


@pytest.mark.parametrize(("name", "key"), CHANGED)
def test_no_option_is_ignored(name, key):
    shape = (32, 32, 1)
    default = computation(network(f"name: {name}", shape, 4), shape)
    assert default == computation(network(f"name: {name}", shape, 4), shape)
    assert default != computation(network(f"name: {name}, {key}: {CHANGED[name, key]}", shape, 4), shape)


# ---------------------------------------------------------------- build


def test_the_weights_follow_from_the_seed():
    spec = parse("model: {name: lenet5}", "test.yaml").model
    one, same, other = (build(spec, (32, 32, 1), 10, init=Initializer(seed)) for seed in (1, 1, 2))
    first, second, third = (jax.tree.leaves(nnx.state(model, nnx.Param)) for model in (one, same, other))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, third, strict=True) if a.ndim > 1)


def test_without_data_a_published_network_has_imagenets_classes():
    assert PUBLISHED_CLASSES == 1000
    assert trace(network("name: lenet5", (32, 32, 1), None), (32, 32, 1)).output_shape == (1000,)


def test_a_stated_input_or_number_of_classes_must_be_the_datas():
    stated = "name: lenet5, input: [32, 32, 1], classes: 10"
    assert parameters(network(stated, (32, 32, 1), 10)) == 61_706
    with pytest.raises(SpecError) as caught:
        network(stated, (28, 28, 1), 10)
    assert str(caught.value) == "model.input: 32x32x1, and the data has 28x28x1; leave it out, or set data.resize"
    with pytest.raises(SpecError) as caught:
        network(stated, (32, 32, 1), 7)
    assert str(caught.value) == "model.classes: 10, and the data has 7; leave it out"


@pytest.mark.parametrize(
    ("model", "shape", "sentence"),
    [
        (
            "name: lenet5",
            (8, 8, 1),
            "model (lenet5) on 8x8x1, layer c3: the map is 2x2 here, smaller than the window 5x5; "
            "give it a larger input, such as data.resize: 32",
        ),
        (
            "name: lenet5",
            (32, 4, 3),
            "model (lenet5) on 32x4x3, layer c1: the map is 32x4 here, smaller than the window 5x5; "
            "give it a larger input, such as data.resize: 32",
        ),
        (
            "name: lenet5",
            (13, 13, 1),
            "model (lenet5) on 13x13x1, layer c3: the map is 4x4 here, smaller than the window 5x5; "
            "give it a larger input, such as data.resize: 32",
        ),
        (
            "name: resnet18",
            (64,),
            "model (resnet18) on 64: needs a map with spatial axes, and gets a vector of 64; "
            "give it a map, [height, width, channels]",
        ),
        (
            "name: lenet5",
            (64,),
            "model (lenet5) on 64, layer c1: needs a map with spatial axes, and gets a vector of 64; "
            "give it a map, [height, width, channels]",
        ),
    ],
)
def test_an_input_that_a_network_cannot_take_is_refused(model, shape, sentence):
    with pytest.raises(ShapeError) as caught:
        network(model, shape, 10)
    assert str(caught.value) == sentence
