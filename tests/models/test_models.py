"""The table of networks: its names, its golden figures, and that no option is a dead one."""

import functools
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
from cnnlab.trace.cost import cost, totals
from cnnlab.trace.walk import trace

Shape = tuple[int, ...]


def network(model: str, input_shape: Shape, classes: int | None, init: Initializer | None = None) -> nnx.Module:
    """The network of a spec's `model:`, with shapes and no weights unless `init` draws them."""
    return build(parse(f"model: {{{model}}}", "test.yaml").model, input_shape, classes, init=init or Initializer())


def parameters(model: nnx.Module) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


# ---------------------------------------------------------------- parameters


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


def encoder(space: Shape, widths: tuple[int, ...], code: int) -> int:
    """3x3 convolutions without bias and their normalisations, each halving the map, then a dense layer."""
    convs = sum(9 * a * b + 2 * b for a, b in itertools.pairwise(widths))
    return convs + dense(math.prod(n >> len(widths) - 1 for n in space) * widths[-1], code)


def decoder(space: Shape, widths: tuple[int, ...], code: int) -> int:
    """A dense layer without bias, its normalisation, the convolutions back; the last has a bias and nothing more."""
    start = math.prod(n >> len(widths) - 1 for n in space) * widths[0]
    convs = sum(9 * a * b + 2 * b for a, b in itertools.pairwise(widths[:-1]))
    return code * start + 2 * widths[0] + convs + (9 * widths[-2] + 1) * widths[-1]


SMALL, HALF = (2, 2, 2, 2), (3, 4, 6, 3)
IMAGENET, CIFAR = ((224, 224, 3), 1000), ((32, 32, 3), 10)
# model, input, classes, parameters. Literal figures are published: LeCun et al. (1989, 1998), the latter in the form
# that is taught; torchvision's and timm's (squeeze-and-excitation) tables; the formulas stand above.
GOLDEN: list[tuple[str, Shape, int, int]] = [
    ("name: perceptron", (8, 8, 1), 10, 650),
    ("name: perceptron", (8, 8, 1), 2, 65),
    ("name: logistic_regression", (28, 28, 1), 2, 785),
    ("name: softmax_regression", (8, 8, 1), 10, 650),
    ("name: softmax_regression", (64,), 10, 650),
    ("name: softmax_regression", (28, 28, 1), 10, 7_850),
    ("name: softmax_regression", (6, 7, 8, 2), 3, dense(6 * 7 * 8 * 2, 3)),
    ("name: mlp", (28, 28, 1), 10, dense(784, 256, 128, 10)),
    ("name: mlp, hidden: [300, 100]", (28, 28, 1), 10, 266_610),
    ("name: mlp, hidden: [5], dropout: 0.5, activation: tanh", (4,), 3, dense(4, 5, 3)),
    ("name: mlp, hidden: []", (4,), 3, 15),
    ("name: lenet1989", (16, 16, 1), 10, 9_760),
    ("name: lenet5", (32, 32, 1), 10, 61_706),
    ("name: lenet5, pooling: max, activation: relu", (32, 32, 1), 10, 61_706),
    ("name: lenet5", (32, 32, 3), 10, 62_006),
    ("name: lenet5", (28, 28, 1), 26, lenet(1, 28, 26)),
    ("name: lenet5", (16, 16, 1), 4, lenet(1, 16, 4)),
    ("name: alexnet", *IMAGENET, 61_100_840),
    ("name: vgg11", *IMAGENET, 132_863_336),
    ("name: vgg11_bn", *IMAGENET, 132_868_840),
    ("name: vgg13", *IMAGENET, 133_047_848),
    ("name: vgg13_bn", *IMAGENET, 133_053_736),
    ("name: vgg16", *IMAGENET, 138_357_544),
    ("name: vgg16_bn", *IMAGENET, 138_365_992),
    ("name: vgg19", *IMAGENET, 143_667_240),
    ("name: vgg19_bn", *IMAGENET, 143_678_248),
    ("name: network_in_network", *CIFAR, 966_986),
    ("name: googlenet", *IMAGENET, 13_004_888),
    ("name: googlenet, auxiliary: false", *IMAGENET, 6_624_904),
    ("name: resnet18", *IMAGENET, 11_689_512),
    ("name: resnet34", *IMAGENET, 21_797_672),
    ("name: resnet50", *IMAGENET, 25_557_032),
    ("name: resnet50, variant: v1", *IMAGENET, 25_557_032),
    ("name: resnet101", *IMAGENET, 44_549_160),
    ("name: resnet152", *IMAGENET, 60_192_808),
    ("name: resnet18, stem: small", *CIFAR, 11_173_962),
    ("name: resnet18, stem: small, width: 16", (8, 8, 1), 10, resnet(SMALL, 1, 10, stem=3, width=16)),
    ("name: resnet18", (64, 48, 1), 5, resnet(SMALL, 1, 5)),
    ("name: resnet18, width: 8", (100, 2), 5, resnet(SMALL, 2, 5, axes=1, width=8)),
    ("name: resnet18, width: 8", (16, 20, 24, 1), 2, resnet(SMALL, 1, 2, axes=3, width=8)),
    ("name: resnet34, stem: small, width: 4", (9, 9, 9, 2), 2, resnet(HALF, 2, 2, axes=3, stem=3, width=4)),
    ("name: resnet20", *CIFAR, 269_722),
    ("name: resnet32", *CIFAR, 464_154),
    ("name: resnet44", *CIFAR, 658_586),
    ("name: resnet56", *CIFAR, 853_018),
    ("name: resnet110", *CIFAR, 1_727_962),
    ("name: resnet20, shortcut: projection", *CIFAR, resnet((3, 3, 3), 3, 10, stem=3, width=16)),
    ("name: resnext50_32x4d", *IMAGENET, 25_028_904),
    ("name: resnext101_32x8d", *IMAGENET, 88_791_336),
    ("name: resnext101_64x4d", *IMAGENET, 83_455_272),
    ("name: seresnet18", *IMAGENET, 11_779_624),
    ("name: seresnet34", *IMAGENET, 21_960_416),
    ("name: seresnet50", *IMAGENET, 28_088_024),
    ("name: seresnet101", *IMAGENET, 49_326_872),
    ("name: seresnet152", *IMAGENET, 66_821_848),
    ("name: seresnext50_32x4d", *IMAGENET, 27_559_896),
    ("name: seresnext101_32x4d", *IMAGENET, 48_955_416),
    ("name: seresnext101_32x8d", *IMAGENET, 93_569_048),
    ("name: efficientnet", *IMAGENET, 5_288_548),
    ("name: efficientnet_b0", *IMAGENET, 5_288_548),
    ("name: efficientnet_b1", *IMAGENET, 7_794_184),
    ("name: efficientnet_b2", *IMAGENET, 9_109_994),
    ("name: efficientnet_b3", *IMAGENET, 12_233_232),
    ("name: efficientnet_b4", *IMAGENET, 19_341_616),
    ("name: efficientnet_b5", *IMAGENET, 30_389_784),
    ("name: efficientnet_b6", *IMAGENET, 43_040_704),
    ("name: efficientnet_b7", *IMAGENET, 66_347_960),
    ("name: unet", (572, 572, 1), 2, 31_030_658),
    ("name: conv_encoder", (32, 32, 1), 10, encoder((32, 32), (1, 32, 64, 128), 64) + dense(64, 10)),
    ("name: conv_decoder", (64,), 10, decoder((32, 32), (128, 64, 32, 1), 64)),
    (
        "name: conv_autoencoder, widths: [8, 4], code: 5",
        (12, 20, 3),
        10,
        encoder((12, 20), (3, 8, 4), 5) + decoder((12, 20), (4, 8, 3), 5),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("model", "input_shape", "classes", "count"), GOLDEN)
def test_the_count_of_parameters_is_the_golden_one(model, input_shape, classes, count):
    assert parameters(network(model, input_shape, classes)) == count


def test_every_network_has_golden_figures():
    assert {model.split(",")[0].removeprefix("name: ") for model, *_ in GOLDEN} == set(MODELS)


def test_the_table_and_the_schema_have_the_same_names():
    assert list(MODELS) == list(NAMES)


# ---------------------------------------------------------------- outputs and multiply-adds

# model, input, output for five classes: a member or two of every family.
OUTPUTS: list[tuple[str, Shape, Shape]] = [
    ("name: perceptron", (4, 4, 1), (5,)),
    ("name: softmax_regression", (9,), (5,)),
    ("name: mlp", (4, 4, 2), (5,)),
    ("name: lenet1989", (16, 16, 1), (5,)),
    ("name: lenet5", (28, 28, 3), (5,)),
    ("name: alexnet", (63, 80, 3), (5,)),
    ("name: vgg11", (32, 40, 1), (5,)),
    ("name: vgg13_bn", (64, 2), (5,)),
    ("name: network_in_network", (32, 32, 3), (5,)),
    ("name: googlenet", (64, 48, 3), (5,)),
    ("name: resnet18", (64, 48, 1), (5,)),
    ("name: resnet50, variant: v2, stem: small", (16, 16, 1), (5,)),
    ("name: resnet18, width: 8", (16, 20, 24, 1), (5,)),
    ("name: resnet20", (32, 32, 3), (5,)),
    ("name: resnext50_32x4d", (48, 1), (5,)),
    ("name: seresnet18", (32, 32, 3), (5,)),
    ("name: efficientnet_b0", (40, 33, 3), (5,)),
    ("name: unet", (572, 572, 1), (388, 388, 5)),
    ("name: unet, depth: 2, width: 4, padding: same", (12, 8, 16, 2), (12, 8, 16, 5)),
    ("name: conv_encoder", (17, 23, 3), (5,)),
    ("name: conv_decoder, shape: [17, 23, 3]", (12,), (17, 23, 3)),
    ("name: conv_autoencoder", (17, 23, 3), (17, 23, 3)),
]


@pytest.mark.parametrize(("model", "input_shape", "output_shape"), OUTPUTS)
def test_the_output_has_its_shape(model, input_shape, output_shape):
    assert trace(network(model, input_shape, 5), input_shape).output_shape == output_shape


# Billions for one image of that many pixels a side, from torchvision's table of weights, which fvcore counted.
MULTIPLY_ADDS = {
    "alexnet": (224, 0.714),
    "vgg16": (224, 15.470),
    "googlenet": (224, 1.498),
    "resnet18": (224, 1.814),
    "resnet50": (224, 4.089),
    "resnext50_32x4d": (224, 4.230),
    "efficientnet_b0": (224, 0.386),
}
MORE_MULTIPLY_ADDS = {
    "vgg13_bn": (224, 11.308),
    "vgg19": (224, 19.632),
    "resnet34": (224, 3.664),
    "resnet152": (224, 11.514),
    "resnext101_32x8d": (224, 16.414),
    "efficientnet_b3": (300, 1.827),
    "efficientnet_b7": (600, 37.746),
}


def multiply_adds(name: str, side: int) -> float:
    """In billions, to three places."""
    model = network(f"name: {name}", (side, side, 3), 1000)
    return round(totals(cost(trace(model, (side, side, 3)), model)).multiply_adds / 1e9, 3)


@pytest.mark.parametrize("name", MULTIPLY_ADDS)
def test_the_count_of_multiply_adds_is_the_published_one(name):
    side, billions = MULTIPLY_ADDS[name]
    assert multiply_adds(name, side) == billions


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE_MULTIPLY_ADDS)
def test_the_count_of_multiply_adds_is_the_published_one_for_every_size(name):
    side, billions = MORE_MULTIPLY_ADDS[name]
    assert multiply_adds(name, side) == billions


# ---------------------------------------------------------------- options

# For every class of the schema that has options: its first name, settings that make it small, an input.
REPRESENTATIVES: dict[str, tuple[dict[str, str], Shape]] = {
    "mlp": ({}, (6, 6, 1)),
    "lenet1989": ({}, (16, 16, 1)),
    "lenet5": ({}, (16, 16, 1)),
    "alexnet": ({"hidden": "16"}, (63, 63, 1)),
    "vgg11": ({"hidden": "16", "width": "4"}, (32, 1)),
    "network_in_network": ({}, (12, 1)),
    "googlenet": ({}, (16, 16, 1)),
    "resnet18": ({"width": "8"}, (16, 16, 1)),
    "resnet20": ({"width": "4"}, (12, 12, 1)),
    "resnext50_32x4d": ({"width": "16"}, (16, 16, 1)),
    "seresnet18": ({"width": "16"}, (16, 16, 1)),
    "efficientnet": ({}, (32, 32, 1)),
    "unet": ({"depth": "1", "width": "4"}, (44, 1)),
    "conv_encoder": ({}, (8, 8, 1)),
    "conv_decoder": ({}, (6,)),
    "conv_autoencoder": ({}, (8, 8, 1)),
}
_RESNET = {
    "stem": "small",
    "width": "32",
    "activation": "tanh",
    "normalization": "group",
    "dropout": "0.5",
    "stochastic_depth": "0.5",
}
_CODE = {"widths": "[8, 4]", "code": "5", "activation": "tanh", "normalization": "none"}
# Another value for each of their options.
CHANGED: dict[str, dict[str, str]] = {
    "mlp": {"hidden": "[7]", "activation": "tanh", "dropout": "0.5"},
    "lenet1989": {"activation": "relu"},
    "lenet5": {"activation": "relu", "pooling": "max"},
    "alexnet": {"activation": "tanh", "normalization": "batch", "dropout": "0.1", "hidden": "8"},
    "vgg11": {"activation": "tanh", "normalization": "batch", "dropout": "0.1", "width": "8", "hidden": "8"},
    "network_in_network": {"activation": "tanh", "normalization": "batch", "dropout": "0.1"},
    "googlenet": {
        "auxiliary": "false",
        "activation": "tanh",
        "normalization": "none",
        "dropout": "0.1",
        "auxiliary_dropout": "0.1",
    },
    "resnet18": {**_RESNET, "variant": "v2"},
    "resnet20": {
        "variant": "v2",
        "shortcut": "projection",
        **{key: value for key, value in _RESNET.items() if key != "stem"},
    },
    "resnext50_32x4d": _RESNET,
    "seresnet18": {**_RESNET, "reduction": "1"},
    "efficientnet": {
        "coefficient": "1",
        "activation": "relu",
        "normalization": "none",
        "dropout": "0.5",
        "stochastic_depth": "0.5",
    },
    "unet": {
        "depth": "2",
        "width": "8",
        "padding": "same",
        "upsampling": "nearest",
        "activation": "tanh",
        "normalization": "batch",
        "dropout": "0.5",
    },
    "conv_encoder": _CODE,
    "conv_decoder": {
        **{key: value for key, value in _CODE.items() if key != "code"},
        "shape": "[8, 8, 2]",
        "output": "sigmoid",
    },
    "conv_autoencoder": {**_CODE, "output": "sigmoid"},
}


def small(name: str, settings: dict[str, str]) -> str:
    """The text of a representative's `model:`."""
    return ", ".join(f"{key}: {value}" for key, value in {"name": name, **REPRESENTATIVES[name][0], **settings}.items())


def computation(name: str, settings: dict[str, str]) -> str:
    """What a training pass of a representative computes, parameters as inputs: of equal networks the same text."""
    input_shape = REPRESENTATIVES[name][1]
    graph, state = nnx.split(network(small(name, settings), input_shape, 4))

    def forward(state: Any, x: jax.Array, key: jax.Array) -> Any:
        return nnx.merge(graph, state)(x, Mode(train=True, key=key))

    example = jax.ShapeDtypeStruct((2, *input_shape), jnp.float32)
    return str(jax.make_jaxpr(forward)(state, example, jax.random.key(0)))


@functools.cache
def default(name: str) -> str:
    return computation(name, {})


def test_every_option_of_every_architecture_has_another_value_here():
    common = {"name", *Architecture.model_fields}
    options = {cls.tags[0]: set(cls.model_fields) - common for cls in ARCHITECTURES}
    assert {name: keys for name, keys in options.items() if keys} == {name: set(CHANGED[name]) for name in CHANGED}
    assert set(REPRESENTATIVES) == set(CHANGED)


@pytest.mark.parametrize("name", CHANGED)
def test_the_same_settings_make_the_same_text(name):
    assert "0x" not in default(name)  # no address in memory
    if name in ("lenet5", "resnet18", "unet"):  # the deepest take a second each
        assert default(name) == computation(name, {})


# What ResNeXt takes is read by the same function as ResNet's, and it is deep.
OPTIONS = [
    pytest.param(name, key, marks=pytest.mark.slow if name == "resnext50_32x4d" else ())
    for name, keys in CHANGED.items()
    for key in keys
]


@pytest.mark.parametrize(("name", "key"), OPTIONS)
def test_no_option_is_ignored(name, key):
    assert default(name) != computation(name, {key: CHANGED[name][key]})


@pytest.mark.parametrize(
    ("name", "key", "values"),
    [
        ("unet", "upsampling", ["conv_transpose", "nearest", "bilinear"]),
        ("resnet18", "normalization", ["batch", "group", "instance", "layer", "none"]),
    ],
)
def test_every_value_of_an_option_makes_another_network(name, key, values):
    assert len({computation(name, {key: value}) for value in values}) == len(values)


# ---------------------------------------------------------------- init


def weights(model: nnx.Module) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The kernels, and the other parameters."""
    leaves = [(path[-1], np.asarray(leaf)) for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param))]
    return [leaf for name, leaf in leaves if name == "kernel"], [leaf for name, leaf in leaves if name != "kernel"]


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_init_reaches_every_kernel_and_nothing_else(name):
    model = small(name, {"init": "{constant: 0.5}"})
    kernels, others = weights(network(model, REPRESENTATIVES[name][1], 4, init=Initializer(0)))
    assert kernels
    assert all((kernel == 0.5).all() for kernel in kernels)
    assert not any((other == 0.5).any() for other in others)


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "unet"])
def test_orthogonal_weights_are_orthonormal_columns_or_rows(name):
    input_shape = REPRESENTATIVES[name][1]
    made = [network(small(name, init), input_shape, 4, init=Initializer(0)) for init in ({}, {"init": "orthogonal"})]
    (drawn, _), (kernels, _) = map(weights, made)
    for kernel, other in zip(kernels, drawn, strict=True):
        assert kernel.shape == other.shape
        assert not np.array_equal(kernel, other)
        matrix = kernel.reshape(-1, kernel.shape[-1])
        product = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
        np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-5)


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
            "give it a larger input, such as data.resize: 16",
        ),
        (
            "name: lenet5",
            (32, 4, 3),
            "model (lenet5) on 32x4x3, layer c1: the map is 32x4 here, smaller than the window 5x5; "
            "give it a larger input, such as data.resize: 16",
        ),
        (
            "name: lenet5",
            (13, 13, 1),
            "model (lenet5) on 13x13x1, layer c3: the map is 4x4 here, smaller than the window 5x5; "
            "give it a larger input, such as data.resize: 16",
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
        (
            "name: vgg11",
            (16, 16, 3),
            "model (vgg11) on 16x16x3, layer stage5: the map is 1x1 here, smaller than the window 2x2; "
            "give it a larger input, such as data.resize: 32",
        ),
        (
            "name: googlenet",
            (8, 8, 3),
            "model (googlenet) on 8x8x3, layer pool3: the map is 1x1 here, smaller than the window 3x3; "
            "give it a larger input, such as data.resize: 16",
        ),
        (
            "name: alexnet",
            (32, 32, 3),
            "model (alexnet) on 32x32x3, layer stage3: the map is 1x1 here, smaller than the window 3x3; "
            "give it a larger input, such as data.resize: 64",
        ),
        (
            "name: alexnet",
            (100, 1),
            "model (alexnet) on 100x1: takes 2 spatial axes, and the input has 1; "
            "give it images, [height, width, channels]",
        ),
        (
            "name: logistic_regression",
            (8,),
            "model (logistic_regression) on 8: tells two classes apart, and there are 10; "
            "use softmax_regression, or give model.classes: 2 where there is no data",
        ),
        (
            "name: unet",
            (100, 100, 3),
            "model (unet) on 100x100x3: the map is 100x100 here, and valid convolutions need sizes of 16 k - 4, "
            "from 188 on; give it 188x188, or set padding: same",
        ),
        (
            "name: conv_decoder",
            (8, 8, 1),
            "model (conv_decoder) on 8x8x1: takes a vector of features, and the input is 8x8x1; "
            "use conv_autoencoder, which makes one from a map",
        ),
    ],
)
def test_an_input_that_a_network_cannot_take_is_refused(model, shape, sentence):
    with pytest.raises(ShapeError) as caught:
        network(model, shape, 10)
    assert str(caught.value) == sentence
