"""Names and layouts: against torchvision's and timm's state dicts, and against torch's definitions in NumPy loops."""

import itertools
import json
import math
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.layers.conv import Conv, ConvTranspose, Dense
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.resample import Flatten
from cnnlab.models import MODELS, TORCH_NAMES, build
from cnnlab.spec.load import parse
from cnnlab.weights.names import OURS, PLAIN, UNUSED, Tensor, counters, schemes, tensors, used

FOLDER = Path(__file__).parent.parent / "models" / "reference"
NINE = sorted(path.stem for path in FOLDER.glob("*.json"))
EXAMPLES = settings(max_examples=60, deadline=None)
DEEP = re.compile(r".*(101|152).*|efficientnet_b[2-7]")
PUBLISHED = [pytest.param(name, marks=pytest.mark.slow if DEEP.fullmatch(name) else ()) for name in TORCH_NAMES]


def network(model: str, input_shape: tuple[int, ...], classes: int | None = None) -> nnx.Module:
    return build(parse(f"model: {model}", "test.yaml").model, input_shape, classes, init=Initializer())


def random(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(math.prod(shape)).standard_normal(shape, dtype=np.float32)


# ---------------------------------------------------------------- published networks


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_tensor_of_a_published_network_has_a_name_of_its_own_by_a_rule(name):
    model = MODELS[name]((64, 64, 3), 1000, init=Initializer())
    leaves = [".".join(map(str, path)) for path, _ in nnx.to_flat_state(nnx.state(model, (nnx.Param, nnx.BatchStat)))]
    for scheme, rules in schemes(name).items():
        found = tensors(model, name, scheme, 2)
        assert [entry.ours for entry in found] == leaves
        assert len({entry.torch for entry in found}) == len(found)
        for entry in found:
            layer, leaf = entry.ours.rsplit(".", 1)
            assert any(re.fullmatch(pattern, layer) for pattern, _ in rules), entry.ours
            assert entry.torch.rsplit(".", 1)[1] in ("weight", "bias", "running_mean", "running_var")
            assert entry.torch.endswith(".bias") == (leaf == "bias")


@pytest.mark.parametrize("name", NINE)
def test_names_and_shapes_are_those_of_the_published_state_dicts(name):
    reference = json.loads((FOLDER / f"{name}.json").read_text())
    model = MODELS[name]((64, 64, 3), 1000, init=Initializer())
    found = tensors(model, name, next(iter(schemes(name))), 2)
    shapes = {entry.torch: list(entry.torch_shape) for entry in found}
    assert {**shapes, **{key: [] for key in counters(shapes)}} == reference["state"]
    assert {entry.torch for entry in found} == used(reference["state"])


def test_timm_has_other_names_for_an_efficientnet():
    assert list(schemes("efficientnet_b0")) == ["torchvision", "timm"]  # the usual one first
    model = MODELS["efficientnet_b0"]((64, 64, 3), 1000, init=Initializer())
    names = {entry.ours: entry.torch for entry in tensors(model, "efficientnet_b0", "timm", 2)}
    wanted = {
        "stem.conv.kernel": "conv_stem.weight",
        "stem.norm.var": "bn1.running_var",
        "stage1.block0.body.depthwise.conv.kernel": "blocks.0.0.conv_dw.weight",
        "stage1.block0.body.project.conv.kernel": "blocks.0.0.conv_pw.weight",
        "stage1.block0.body.project.norm.scale": "blocks.0.0.bn2.weight",
        "stage5.block2.body.expand.conv.kernel": "blocks.4.2.conv_pw.weight",
        "stage5.block2.body.gate.reduce.bias": "blocks.4.2.se.conv_reduce.bias",
        "stage5.block2.body.project.conv.kernel": "blocks.4.2.conv_pwl.weight",
        "stage5.block2.body.project.norm.mean": "blocks.4.2.bn3.running_mean",
        "top.conv.kernel": "conv_head.weight",
        "head.kernel": "classifier.weight",
    }
    assert {ours: names[ours] for ours in wanted} == wanted


@pytest.mark.parametrize(
    "model",
    [
        "{name: alexnet, normalization: group}",
        "{name: googlenet, normalization: none}",
        "{name: resnet18, variant: v2}",
        "{name: seresnet18, stem: small, normalization: instance}",
        "{name: efficientnet, coefficient: 0.5, normalization: layer}",
    ],
)
def test_options_that_the_publishers_lack_give_no_name_twice(model):
    spec = parse(f"model: {model}", "test.yaml").model
    name = spec.name  # type: ignore[attr-defined]
    for scheme in schemes(name):
        found = tensors(network(model, (64, 64, 3)), name, scheme, 2)
        assert len({entry.torch for entry in found}) == len(found)


def test_a_layer_that_the_publishers_lack_keeps_its_path():
    found = tensors(network("{name: resnet18, variant: v2}", (64, 64, 3)), "resnet18", "torchvision", 2)
    names = {entry.ours: entry.torch for entry in found}
    assert names["stage2.block0.preact.norm.mean"] == "stage2.block0.preact.norm.running_mean"
    assert names["final.norm.scale"] == "final.norm.weight"
    assert names["stage2.block0.body.conv1.kernel"] == "layer2.0.conv1.weight"


def test_vgg_with_batch_normalisation_by_option_has_the_names_of_vgg_bn():
    found = tensors(network("{name: vgg11, normalization: batch}", (32, 32, 3)), "vgg11", "torchvision", 2)
    wanted = tensors(network("{name: vgg11_bn}", (32, 32, 3)), "vgg11_bn", "torchvision", 2)
    assert found == wanted


# ---------------------------------------------------------------- layers of one's own


def test_layers_of_ones_own_keep_their_paths_and_have_torchs_leaves():
    model = network(
        "{layers: [conv: {features: 4, kernel: [3, 5]}, batch_norm, prelu, {group_norm: {groups: 2, name: norm}}, "
        "{swish: {learned: true}}, {conv_transpose: {features: 6, kernel: 2, groups: 2, stride: 2, name: up}}, "
        "{residual: {body: [{depthwise_conv: {kernel: 3, name: inner}}]}}, global_avg_pool, dense: classes]}",
        (8, 8, 1),
        5,
    )
    assert list(schemes(None)) == list(schemes("lenet5")) == [PLAIN]
    assert {entry.torch: entry.torch_shape for entry in tensors(model, None, PLAIN, 2)} == {
        "conv_0.weight": (4, 1, 3, 5),
        "conv_0.bias": (4,),
        "batch_norm_1.weight": (4,),
        "batch_norm_1.bias": (4,),
        "batch_norm_1.running_mean": (4,),
        "batch_norm_1.running_var": (4,),
        "prelu_2.weight": (4,),
        "norm.weight": (4,),
        "norm.bias": (4,),
        "swish_4.beta": (1,),
        "up.weight": (4, 3, 2, 2),
        "up.bias": (6,),
        "residual_6.body.inner.weight": (6, 1, 3, 3),
        "residual_6.body.inner.bias": (6,),
        "dense_8.weight": (5, 6),
        "dense_8.bias": (5,),
    }


def test_counts_of_batches_stand_beside_running_means_and_are_not_used():
    names = {"a.running_mean": 0, "a.running_var": 0, "running_mean": 0, "b.weight": 0}
    found = counters(names)
    assert {name: (value.shape, value.dtype.name, int(value)) for name, value in found.items()} == {
        "a.num_batches_tracked": ((), "int64", 0),
        "num_batches_tracked": ((), "int64", 0),
    }
    assert used({**names, **found}) == set(names)
    assert UNUSED == "num_batches_tracked"
    assert OURS not in {scheme for rules in TORCH_NAMES.values() for scheme in rules}


# ---------------------------------------------------------------- layouts

SIZE = st.integers(1, 4)
WINDOW = st.lists(SIZE, max_size=3)


@st.composite
def any_tensor(draw: st.DrawFn) -> Tensor:
    """A vector, a dense layer behind a map or not, a convolution, transposed or not, in groups or not."""
    match draw(st.sampled_from(["vector", "dense", "flattened", "conv", "transposed"])):
        case "vector":
            return Tensor("a.bias", "a.bias", (draw(SIZE),))
        case "dense":
            return Tensor("a.kernel", "a.weight", (draw(SIZE), draw(SIZE)))
        case "flattened":
            grid = (*draw(WINDOW), draw(SIZE))
            return Tensor("a.kernel", "a.weight", (math.prod(grid), draw(SIZE)), grid=grid)
        case "conv":
            return Tensor("a.kernel", "a.weight", (*draw(WINDOW), draw(SIZE), draw(SIZE)))
    groups = draw(SIZE)
    shape = (*draw(WINDOW), draw(SIZE), groups * draw(SIZE))
    return Tensor("a.kernel", "a.weight", shape, transposed=True, groups=groups)


@EXAMPLES
@given(any_tensor())
def test_the_two_ways_are_inverse_and_lose_nothing(entry):
    value = np.arange(math.prod(entry.shape), dtype=np.float32).reshape(entry.shape)
    there = entry.to_torch(value)
    assert there.shape == entry.torch_shape
    assert sorted(there.ravel()) == sorted(value.ravel())
    np.testing.assert_array_equal(entry.from_torch(there), value)
    np.testing.assert_array_equal(entry.to_torch(entry.from_torch(there)), there)
    assert there.flags.c_contiguous
    assert entry.from_torch(there).flags.c_contiguous


@pytest.mark.parametrize(("space", "channels"), [((5, 3), 4), ((6,), 2), ((2, 3, 2), 3)])
def test_a_dense_layer_behind_a_map_multiplies_as_torch_does(space, channels):
    """torch flattens [channel, *space], this package [*space, channel]: the same product from the same map."""
    layer = Dense(math.prod(space) * channels, 7, init=Initializer(3))
    entry = Tensor("dense.kernel", "dense.weight", layer.kernel.shape, grid=(*space, channels))
    x = random((2, *space, channels))
    ours = layer(Flatten()(jnp.asarray(x)))
    weight = entry.to_torch(np.asarray(layer.kernel[...]))
    theirs = np.zeros((2, 7))
    for n, out in np.ndindex(2, 7):
        for flat, (channel, *position) in enumerate(np.ndindex(channels, *space)):
            theirs[n, out] += weight[out, flat] * x[n, *position, channel]
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


class Holder(nnx.Module):
    def __init__(self, layer: nnx.Module):
        self.layer = layer


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_is_torchs(groups):
    """y[o, i, j] = sum over c, a, b of w[o, c, a, b] x[c, i + a, j + b], c within the group of o."""
    layer = Conv(4, 6, (2, 3), axes=2, padding="valid", groups=groups, init=Initializer(0))
    (entry,) = (entry for entry in tensors(Holder(layer), None, PLAIN, 2) if entry.torch == "layer.weight")
    weight = entry.to_torch(np.asarray(layer.kernel[...]))
    assert weight.shape == (6, 4 // groups, 2, 3)
    x = random((1, 4, 5, 4))
    theirs = np.zeros((1, 3, 3, 6))
    for o, c, a, b, i, j in np.ndindex(*weight.shape, 3, 3):
        channel = o // (6 // groups) * (4 // groups) + c
        theirs[0, i, j, o] += weight[o, c, a, b] * x[0, i + a, j + b, channel]
    np.testing.assert_allclose(layer(jnp.asarray(x)), theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("groups", "axes"), [*itertools.product([1, 2, 4], [1, 2])])
def test_a_transposed_convolution_is_torchs(groups, axes):
    """Each x[c, i] adds w[c, o, a] x[c, i] to y[o, stride i + a], o within the group of c."""
    layer = ConvTranspose(4, 8, 3, axes=axes, stride=2, padding="valid", groups=groups, init=Initializer(1))
    kernel, bias = (
        next(entry for entry in tensors(Holder(layer), None, PLAIN, axes) if entry.torch == f"layer.{leaf}")
        for leaf in ("weight", "bias")
    )
    weight = kernel.to_torch(np.asarray(layer.kernel[...]))
    assert weight.shape == kernel.torch_shape == (4, 8 // groups, *(3,) * axes)
    assert bias.torch_shape == (8,)
    x = random((1, *(3,) * axes, 4))
    theirs = np.zeros((1, *(7,) * axes, 8))
    for c, o, *window in np.ndindex(*weight.shape):
        out = c // (4 // groups) * (8 // groups) + o
        for position in np.ndindex(*(3,) * axes):
            target = tuple(2 * i + a for i, a in zip(position, window, strict=True))
            theirs[0, *target, out] += weight[c, o, *window] * x[0, *position, c]
    np.testing.assert_allclose(layer(jnp.asarray(x)), theirs, rtol=1e-4, atol=1e-5)


def test_the_maps_behind_which_the_published_classifiers_stand():
    for name, path, positions, channels in (
        ("alexnet", "classifier.dense1.kernel", 6, 256),
        ("vgg11", "classifier.dense1.kernel", 7, 512),
        ("googlenet", "aux2.dense.kernel", 4, 128),
    ):
        model = MODELS[name]((64, 64, 3), 10, init=Initializer())
        grids = {entry.ours: entry.grid for entry in tensors(model, name, "torchvision", 2) if entry.grid}
        assert grids[path] == (positions, positions, channels)
    volume = MODELS["vgg11"]((32, 32, 32, 1), 10, init=Initializer())
    (grid,) = (entry.grid for entry in tensors(volume, "vgg11", "torchvision", 3) if entry.grid)
    assert grid == (7, 7, 7, 512)
