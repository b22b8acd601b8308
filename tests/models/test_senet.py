"""SE-ResNet and SE-ResNeXt: the counts of timm, where the gate stands, and how many units it has."""

import itertools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.models import resnet
from cnnlab.models.blocks import Style
from cnnlab.models.resnet import Blocks
from cnnlab.models.senet import NETWORKS, TORCH_NAMES
from cnnlab.trace.walk import trace
from cnnlab.train.state import split


def shapes(model: nnx.Module) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    return {".".join(str(key.key) for key in path): leaf.shape for path, leaf in leaves}


def parameters(model: nnx.Module) -> int:
    return sum(int(np.prod(shape)) for shape in shapes(model).values())


SMALL, HALF, DEEP, DEEPEST = (2, 2, 2, 2), (3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3)


@pytest.mark.parametrize(
    ("name", "blocks", "expansion", "without", "count"),
    [
        ("seresnet18", SMALL, 1, 11_689_512, 11_779_624),
        ("seresnet34", HALF, 1, 21_797_672, 21_960_416),
        ("seresnet50", HALF, 4, 25_557_032, 28_088_024),
        ("seresnet101", DEEP, 4, 44_549_160, 49_326_872),
        ("seresnet152", DEEPEST, 4, 60_192_808, 66_821_848),
        ("seresnext50_32x4d", HALF, 4, 25_028_904, 27_559_896),
        ("seresnext101_32x4d", DEEP, 4, None, 48_955_416),
        ("seresnext101_32x8d", DEEP, 4, 88_791_336, 93_569_048),
    ],
)
def test_what_gates_add_to_a_resnet_is_what_timm_s_network_has_more(name, blocks, expansion, without, count):
    """The gates' share is 2 / r times blocks times channels squared (section 4), and both layers' biases."""
    added = 0
    for depth, planes in zip(blocks, (64, 128, 256, 512), strict=True):
        channels = planes * expansion
        hidden = max(8, channels // 16)
        added += depth * (2 * channels * hidden + channels + hidden)
    assert without is None or without + added == count


@pytest.mark.parametrize(
    ("width", "reduction", "hidden"),
    [
        (64, 16, 8),
        (128, 16, 8),
        (176, 16, 8),
        (192, 16, 16),
        (256, 16, 16),
        (64, 3, 24),
        (60, 3, 24),
        (8, 1, 8),
        (16, 1000, 8),
    ],
)
def test_hidden_units_are_a_multiple_of_eight(width, reduction, hidden):
    """The nearest one to channels / reduction, halves upwards, and never less than 8."""
    model = NETWORKS["seresnet18"]((8, 8, 1), 5, width=width, reduction=reduction, init=Initializer())
    assert shapes(model)["stage1.block0.body.gate.reduce.kernel"] == (1, 1, width, hidden)
    assert shapes(model)["stage1.block0.body.gate.expand.bias"] == (width,)


@pytest.mark.parametrize(("name", "norm"), [("seresnet18", "norm2"), ("seresnet50", "norm3")])
def test_the_gate_stands_behind_the_last_norm_of_every_body(name, norm):
    model = NETWORKS[name]((32, 32, 3), 5, stochastic_depth=0.5, init=Initializer())
    paths = [call.path for call in trace(model, (32, 32, 3)).calls]
    calls = [path for path in paths if re.fullmatch(r"stage\d\.block\d\.body\.\w+", path)]
    following = {(one.split(".")[-1], other.split(".")[-1]) for one, other in itertools.pairwise(calls)}
    assert {before for before, after in following if after == "gate"} == {norm}
    assert {after for before, after in following if before == "gate"} == {"stochastic_depth"}
    assert sum(path.endswith(".gate") for path in calls) == sum(path.endswith(".conv1") for path in calls)


def test_a_gate_that_knows_nothing_halves_the_body():
    """sigmoid(0): the block is activation(body / 2 + x), the gate before the sum and not behind it."""
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 6, 4)), jnp.float32)
    made: Any = [
        Blocks(Style(1, Initializer(0)), False, 1, 64, reduction, "v1.5", "projection").block(4, 4, 4, 1, 0.0)
        for reduction in (None, 16)
    ]
    plain, gated = made
    gated.body.gate.expand.kernel[...] = np.zeros_like(gated.body.gate.expand.kernel[...])
    np.testing.assert_array_equal(gated.body.conv2.kernel[...], plain.body.conv2.kernel[...])
    np.testing.assert_allclose(gated(x), np.maximum(np.asarray(plain.body(x)) / 2 + x, 0), rtol=1e-5, atol=1e-6)


def test_the_reduction_changes_the_network_and_the_rest_is_resnet_s():
    model, other = (
        NETWORKS["seresnet18"]((8, 1), 5, width=64, reduction=reduction, init=Initializer()) for reduction in (16, 4)
    )
    assert parameters(model) < parameters(other)
    plain = shapes(resnet.NETWORKS["resnet18"]((8, 1), 5, width=64, init=Initializer()))
    assert {name: shape for name, shape in shapes(model).items() if ".gate." not in name} == plain


@pytest.mark.parametrize("name", ["seresnet18", "seresnext50_32x4d"])
def test_gradients_reach_every_parameter(name):
    options: dict[str, Any] = {"stages": (1, 1), "width": 16, "stem": "small", "init": Initializer(0)}
    graph, params, stats = split(NETWORKS[name]((8, 2), 5, **options))
    images = jnp.asarray(np.random.default_rng(0).standard_normal((4, 8, 2)), jnp.float32)

    @jax.jit
    @jax.grad
    def gradient(params: Any, stats: Any) -> jax.Array:
        logits = nnx.merge(graph, params, stats)(images, Mode(train=True))
        return (logits * jnp.arange(5) * jnp.arange(1, 5)[:, None]).sum()

    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient(params, stats)):
        assert np.any(np.asarray(leaf)), path


def test_every_layer_with_weights_has_one_name_in_timm():
    assert list(TORCH_NAMES) == ["timm"]
    modules = {name.rsplit(".", 1)[0] for name in shapes(NETWORKS["seresnet50"]((32, 32, 3), 5, init=Initializer()))}
    found = {
        module: [match.expand(to) for pattern, to in TORCH_NAMES["timm"] if (match := re.fullmatch(pattern, module))]
        for module in modules
    }
    assert {len(names) for names in found.values()} == {1}
    assert len({names[0] for names in found.values()}) == len(modules)
    assert found["stage3.block5.body.gate.reduce"] == ["layer3.5.se.fc1"]
    assert found["stage1.block0.body.gate.expand"] == ["layer1.0.se.fc2"]
    assert found["stage2.block0.shortcut.conv"] == ["layer2.0.downsample.0"]
