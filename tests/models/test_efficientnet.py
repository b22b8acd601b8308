"""EfficientNet: table 1 of Tan and Le (2019), compound scaling, the published counts, and one block in NumPy."""

import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab.errors import SpecError
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.layers.norm import BatchNorm
from cnnlab.layers.regularize import Dropout, StochasticDepth
from cnnlab.models.efficientnet import NETWORKS, RESOLUTIONS, SCALES, TORCH_NAMES, compound_scale, efficientnet
from cnnlab.trace.walk import trace
from cnnlab.train.state import split

# Table 1: blocks and channels of stages 2 to 8, the side of the window.
BLOCKS, CHANNELS, WINDOWS = (1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320), (3, 3, 5, 3, 5, 5, 3)


def net(input_shape: tuple[int, ...], *, coefficient: float = -25.0, seed: int | None = None, **options: Any):
    """By default as small as it gets: one block a stage, 8 channels in most."""
    return efficientnet(input_shape, 5, coefficient=coefficient, init=Initializer(seed), **options)


def shapes(model: nnx.Module) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    return {".".join(str(key.key) for key in path): leaf.shape for path, leaf in leaves}


def parameters(model: nnx.Module) -> int:
    return sum(math.prod(shape) for shape in shapes(model).values())


def modules(model: nnx.Module, kind: type) -> dict[str, Any]:
    """By path in the network's order; block10 comes behind block9."""
    found = {".".join(map(str, path)): module for path, module in nnx.iter_modules(model) if isinstance(module, kind)}
    return dict(sorted(found.items(), key=lambda item: [int(number) for number in re.findall(r"\d+", item[0])]))


def maps(model: nnx.Module, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {call.path: call.output_shapes[0] for call in trace(model, input_shape).calls}


def rounded(channels: float) -> int:
    """The multiple of 8 that is nearest, halves upwards, but never under nine tenths."""
    candidates = [n for n in range(8, 8000, 8) if n >= 0.9 * channels]
    return min(candidates, key=lambda n: (abs(n - channels), -n))


def counted(width: float, depth: float, *, channels: int = 3, axes: int = 2, classes: int = 1000) -> int:
    """Weights of the convolutions, two numbers a channel for each norm, the gates' two layers with biases."""
    inside = rounded(32 * width)
    total = 3**axes * channels * inside + 2 * inside
    for stage, (blocks, features, window) in enumerate(zip(BLOCKS, CHANNELS, WINDOWS, strict=True)):
        features = rounded(features * width)
        for _ in range(math.ceil(blocks * depth)):
            wide, squeezed = (6 if stage else 1) * inside, inside // 4
            total += (inside * wide + 2 * wide if stage else 0) + window**axes * wide + 2 * wide
            total += 2 * wide * squeezed + wide + squeezed + wide * features + 2 * features
            inside = features
    top = rounded(1280 * width)
    return total + inside * top + 2 * top + (top + 1) * classes


# ---------------------------------------------------------------- the published networks


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("efficientnet_b0", 5_288_548),
        ("efficientnet_b1", 7_794_184),
        ("efficientnet_b2", 9_109_994),
        ("efficientnet_b3", 12_233_232),
        ("efficientnet_b4", 19_341_616),
        ("efficientnet_b5", 30_389_784),
        ("efficientnet_b6", 43_040_704),
        ("efficientnet_b7", 66_347_960),
    ],
)
def test_the_factors_of_every_size_give_torchvision_s_parameters(name, count):
    assert counted(SCALES[name].width, SCALES[name].depth) == count


def test_b0_is_table_1():
    of = maps(NETWORKS["efficientnet_b0"]((224, 224, 3), 1000, init=Initializer()), (224, 224, 3))
    sides = (112, 56, 28, 14, 14, 7, 7)
    assert of["stem"] == (112, 112, 32)
    for stage, (blocks, channels, side) in enumerate(zip(BLOCKS, CHANNELS, sides, strict=True), start=1):
        assert of[f"stage{stage}"] == (side, side, channels)
        assert len([path for path in of if re.fullmatch(rf"stage{stage}\.block\d", path)]) == blocks
    assert (of["top"], of["pool"], of["head"]) == ((7, 7, 1280), (1280,), (1000,))


def test_the_published_resolutions():
    assert list(RESOLUTIONS.values()) == [224, 240, 260, 300, 380, 456, 528, 600]
    assert list(RESOLUTIONS) == list(NETWORKS)[1:]
    for size, resolution in enumerate(RESOLUTIONS.values()):
        # Section 3.3: gamma = 1.15; the published figures are near it for a phi between 0 and 7.
        assert 224 * 1.15 ** (size - 1) < resolution < 224 * 1.15 ** (size + 1)


def test_dropout_rises_with_the_size():
    assert [scale.dropout for scale in SCALES.values()] == [0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5]
    model: Any = NETWORKS["efficientnet_b2"]((32, 1), 5, init=Initializer())
    assert model.dropout.rate == 0.3


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("efficientnet_b0", (1e-5, 0.9)), ("efficientnet_b4", (1e-5, 0.9)), ("efficientnet_b5", (1e-3, 0.99))],
)
def test_batch_normalisation_has_torchvision_s_numbers(name, numbers):
    model = NETWORKS[name]((32, 1), 5, init=Initializer())
    assert {(norm.epsilon, norm.momentum) for norm in modules(model, BatchNorm).values()} == {numbers}


# ---------------------------------------------------------------- scaling


@pytest.mark.parametrize("phi", [-25.0, -3.0, -0.5, 2.7])
def test_a_coefficient_of_ones_own_multiplies_channels_and_blocks(phi):
    shape = (20, 20, 1)
    model = efficientnet(shape, 7, coefficient=phi, init=Initializer())
    assert parameters(model) == counted(1.1**phi, 1.2**phi, channels=1, classes=7)
    assert trace(model, shape).output_shape == (7,)


def test_no_coefficient_is_0_is_b0():
    assert compound_scale(0.0) == SCALES["efficientnet_b0"]
    shape = (32, 1)
    free, published = (NETWORKS[name](shape, 5, init=Initializer()) for name in ("efficientnet", "efficientnet_b0"))
    assert computation(free, shape) == computation(published, shape)


def test_dropout_rises_linearly_from_0_to_7_and_stays():
    rates = [compound_scale(phi).dropout for phi in (-1.0, 0.0, 3.5, 7.0, 9.0)]
    assert rates == pytest.approx([0.2, 0.2, 0.35, 0.5, 0.5])


def test_a_published_network_takes_no_coefficient():
    with pytest.raises(SpecError) as refused:
        NETWORKS["efficientnet_b3"]((32, 32, 3), 5, coefficient=1.5, init=Initializer())
    assert str(refused.value) == (
        "model.coefficient: 1.5, and a published network has its own scale; "
        "leave it out, or take name: efficientnet"
    )  # fmt: skip


# ---------------------------------------------------------------- blocks and options


def test_other_inputs_and_one_position():
    for shape in [(50, 2), (16, 9, 12, 1), (1, 1, 3)]:
        model = net(shape)
        assert parameters(model) == counted(
            1.1**-25, 1.2**-25, channels=shape[-1], axes=len(shape) - 1, classes=5
        )  # fmt: skip
        of = maps(model, shape)
        assert of["stage7"][:-1] == tuple(math.ceil(n / 32) for n in shape[:-1])
        assert of["head"] == (5,)


def test_a_block_adds_its_input_where_nothing_changes_the_shape():
    model = NETWORKS["efficientnet_b0"]((32, 32, 3), 5, init=Initializer())
    kinds = {call.path: call.kind for call in trace(model, (32, 32, 3)).calls}
    blocks = {path: kind for path, kind in kinds.items() if re.fullmatch(r"stage\d\.block\d", path)}
    assert len(blocks) == 16
    assert {path for path, kind in blocks.items() if kind == "Residual"} == {
        path for path in blocks if not path.endswith("block0")
    }


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_a_block_in_numpy():
    """The second of stage 3 of one spatial axis: wider, window 5 channel by channel, gate, narrower, sum."""
    model: Any = net((16, 2), coefficient=-1.0, seed=0, normalization="none")
    block = model.stage3.block1
    assert block.shortcut is None
    body, x = block.body, np.random.default_rng(0).standard_normal((2, 6, 40)).astype(np.float32)
    weight = lambda layer: np.asarray(layer.kernel[...])  # noqa: E731
    y = x @ weight(body.expand.conv)[0]
    y = np.pad(y * sigmoid(y), ((0, 0), (2, 2), (0, 0)))
    y = sum(y[:, k : k + 6] * weight(body.depthwise.conv)[k, 0] for k in range(5))
    y = y * sigmoid(y)
    hidden = y.mean(1, keepdims=True) @ weight(body.gate.reduce)[0]
    assert hidden.shape[-1] == 10
    y = y * sigmoid((hidden * sigmoid(hidden)) @ weight(body.gate.expand)[0])
    y = x + y @ weight(body.project.conv)[0]
    np.testing.assert_allclose(jax.jit(block)(jnp.asarray(x)), y, rtol=1e-3, atol=1e-4)


def test_the_rates_of_stochastic_depth_count_every_block():
    """Block i of 16 is skipped with probability 0.2 i / 16; where nothing is added there is nothing to skip."""
    rates = {path: module.rate for path, module in modules(
        NETWORKS["efficientnet_b0"]((32, 32, 3), 5, init=Initializer()), StochasticDepth
    ).items()}  # fmt: skip
    blocks = [(stage, block) for stage, count in enumerate(BLOCKS, start=1) for block in range(count)]
    wanted = {
        f"stage{stage}.block{block}.body.stochastic_depth": pytest.approx(0.2 * i / 16)
        for i, (stage, block) in enumerate(blocks)
        if block > 0
    }
    assert rates == wanted
    off = NETWORKS["efficientnet_b0"]((32, 32, 3), 5, stochastic_depth=0.0, dropout=0.0, init=Initializer())
    assert modules(off, Dropout) == {}


def computation(model: nnx.Module, input_shape: tuple[int, ...]) -> str:
    """What a training pass computes, parameters as inputs: two networks of one text are the same."""
    graph, state = nnx.split(model)
    example = jax.ShapeDtypeStruct((2, *input_shape), jnp.float32)
    forward = lambda state, x, key: nnx.merge(graph, state)(x, Mode(train=True, key=key))  # noqa: E731
    return re.sub("0x[0-9a-f]+", "", str(jax.make_jaxpr(forward)(state, example, jax.random.key(0))))


def test_gradients_reach_every_parameter():
    """Of a stage of two blocks, the second of which adds its input."""
    model = net((16, 2), coefficient=-3.0, seed=0).stage3
    channels = model.block0.body.expand.conv.kernel.shape[-2]
    graph, params, stats = split(model)
    images = jnp.asarray(np.random.default_rng(0).standard_normal((4, 64, channels)), jnp.float32)

    @jax.jit
    @jax.grad
    def gradient(params: Any, stats: Any) -> jax.Array:
        y = nnx.merge(graph, params, stats)(images, Mode(train=True, key=jax.random.key(0)))
        return (y * np.random.default_rng(1).standard_normal(y.shape, dtype=np.float32)).sum()

    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient(params, stats)):
        assert np.any(np.asarray(leaf)), path


# ---------------------------------------------------------------- torch's names


@pytest.mark.parametrize(
    ("dialect", "names"),
    [
        (
            "torchvision",
            {
                "stem.conv": "features.0.0",
                "stage1.block0.body.depthwise.norm": "features.1.0.block.0.1",
                "stage1.block1.body.gate.reduce": "features.1.1.block.1.fc1",
                "stage1.block0.body.project.conv": "features.1.0.block.2.0",
                "stage2.block0.body.expand.conv": "features.2.0.block.0.0",
                "stage6.block3.body.gate.expand": "features.6.3.block.2.fc2",
                "stage7.block0.body.project.norm": "features.7.0.block.3.1",
                "top.norm": "features.8.1",
                "head": "classifier.1",
            },
        ),
        (
            "timm",
            {
                "stem.conv": "conv_stem",
                "stage1.block0.body.depthwise.norm": "blocks.0.0.bn1",
                "stage1.block1.body.gate.reduce": "blocks.0.1.se.conv_reduce",
                "stage1.block0.body.project.conv": "blocks.0.0.conv_pw",
                "stage2.block0.body.expand.conv": "blocks.1.0.conv_pw",
                "stage6.block3.body.gate.expand": "blocks.5.3.se.conv_expand",
                "stage7.block0.body.project.norm": "blocks.6.0.bn3",
                "top.norm": "bn2",
                "head": "classifier",
            },
        ),
    ],
)
def test_every_layer_with_weights_has_one_name_in_torch(dialect, names):
    layers = {
        name.rsplit(".", 1)[0] for name in shapes(NETWORKS["efficientnet_b1"]((32, 32, 3), 5, init=Initializer()))
    }
    found = {
        layer: [match.expand(to) for pattern, to in TORCH_NAMES[dialect] if (match := re.fullmatch(pattern, layer))]
        for layer in layers
    }
    assert {len(names) for names in found.values()} == {1}
    assert len({names[0] for names in found.values()}) == len(layers)
    assert {layer: found[layer][0] for layer in names} == names
