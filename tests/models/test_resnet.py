"""ResNet: table 1 of He et al. (2016), its variants, shortcuts, stochastic depth, and blocks in NumPy."""

import itertools
import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.layers.regularize import StochasticDepth
from cnnlab.layers.windows import ShapeError
from cnnlab.models.blocks import Style
from cnnlab.models.resnet import NETWORKS, TORCH_NAMES, Blocks, resnet
from cnnlab.trace.cost import cost, totals
from cnnlab.trace.walk import trace
from cnnlab.train.state import split

TINY: dict[str, Any] = {"stages": (1, 2), "stem": "small", "width": 4}


def net(input_shape: tuple[int, ...], *, seed: int | None = None, **options: Any) -> nnx.Module:
    return resnet(input_shape, 5, init=Initializer(seed), **{"block": "basic", **TINY, **options})


def blocks(variant: str = "v1.5", *, bottleneck: bool = False, shortcut: str = "projection", **style: Any) -> Blocks:
    """One spatial axis, so that the oracles below are short."""
    made = Style(1, Initializer(0), **style)
    return Blocks(made, bottleneck, 1, 64, None, variant, shortcut)


def maps(model: nnx.Module, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {call.path: call.output_shapes[0] for call in trace(model, input_shape).calls}


def parameters(model: nnx.Module) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    return {".".join(str(key.key) for key in path): leaf.shape for path, leaf in leaves}


def computation(model: nnx.Module, input_shape: tuple[int, ...]) -> str:
    """What a training pass computes, parameters as inputs: two networks of one text are the same."""
    graph, state = nnx.split(model)
    example = jax.ShapeDtypeStruct((2, *input_shape), jnp.float32)
    forward = lambda state, x, key: nnx.merge(graph, state)(x, Mode(train=True, key=key))  # noqa: E731
    return re.sub("0x[0-9a-f]+", "", str(jax.make_jaxpr(forward)(state, example, jax.random.key(0))))


# ---------------------------------------------------------------- the published networks


@pytest.mark.parametrize(
    ("depth", "count", "billions"),
    [
        (18, 11_689_512, 1.8),
        (34, 21_797_672, 3.6),
        (50, 25_557_032, 3.8),
        (101, 44_549_160, 7.6),
        (152, 60_192_808, 11.3),
    ],
)
def test_layers_parameters_and_multiply_adds_are_the_published_ones(depth, count, billions):
    """Parameters are torchvision's; the multiply-adds stand in table 1, for the paper's own stride placement."""
    model = NETWORKS[f"resnet{depth}"]((224, 224, 3), 1000, variant="v1", init=Initializer())
    sums = totals(cost(trace(model, (224, 224, 3)), model))
    assert sums.parameters == count
    assert sum(name.endswith("kernel") and "shortcut" not in name for name in parameters(model)) == depth
    assert sums.multiply_adds / 1e9 == pytest.approx(billions, rel=0.02)


@pytest.mark.parametrize(
    ("input_shape", "options", "expected"),
    [
        ((224, 224, 3), {}, [(112, 112, 64), (56, 56, 64), (56, 56, 64), (28, 28, 128), (14, 14, 256), (7, 7, 512)]),
        ((32, 32, 3), {"stem": "small"}, [(32, 32, 64), None, (32, 32, 64), (16, 16, 128), (8, 8, 256), (4, 4, 512)]),
        ((8, 8, 1), {"stem": "small", "width": 4}, [(8, 8, 4), None, (8, 8, 4), (4, 4, 8), (2, 2, 16), (1, 1, 32)]),
        ((65, 1), {"width": 4}, [(33, 4), (17, 4), (17, 4), (9, 8), (5, 16), (3, 32)]),
        ((1, 1, 1), {"width": 4}, [(1, 1, 4), (1, 1, 4), (1, 1, 4), (1, 1, 8), (1, 1, 16), (1, 1, 32)]),
        (
            (9, 16, 33, 1),
            {"width": 4},
            [(5, 8, 17, 4), (3, 4, 9, 4), (3, 4, 9, 4), (2, 2, 5, 8), (1, 1, 3, 16), (1, 1, 2, 32)],
        ),
    ],
)  # fmt: skip
def test_the_maps_are_those_of_table_1(input_shape, options, expected):
    names = ("stem.conv", "stem.pool", "stage1", "stage2", "stage3", "stage4")
    for variant in ("v1", "v1.5", "v2"):
        of = maps(NETWORKS["resnet18"](input_shape, 10, variant=variant, init=Initializer(), **options), input_shape)
        assert [of.get(name) for name in names] == expected
        assert of["pool"] == expected[-1][-1:]
        assert of["head"] == of[""] == (10,)


def test_bottlenecks_give_four_times_the_channels():
    of = maps(NETWORKS["resnet50"]((64, 64, 3), 10, init=Initializer()), (64, 64, 3))
    assert [of[f"stage{i}"] for i in range(1, 5)] == [(16, 16, 256), (8, 8, 512), (4, 4, 1024), (2, 2, 2048)]
    inside = [of[f"stage3.block0.body.conv{i}"] for i in (1, 2, 3)]
    assert inside == [(8, 8, 256), (4, 4, 256), (4, 4, 1024)]


# ---------------------------------------------------------------- variants and shortcuts


@pytest.mark.parametrize(("variant", "sizes"), [("v1", (4, 4, 4)), ("v1.5", (8, 4, 4)), ("v2", (8, 4, 4))])
def test_the_stride_of_a_bottleneck_is_where_the_variant_has_it(variant, sizes):
    of = maps(net((8, 1), block="bottleneck", variant=variant), (8, 1))
    assert tuple(of[f"stage2.block0.body.conv{i}"][0] for i in (1, 2, 3)) == sizes
    assert of["stage2.block0.shortcut"] == (4, 32)


def test_v1_and_v1_5_are_one_for_basic_blocks_and_two_for_bottlenecks():
    shape = (8, 1)
    one, other = (computation(net(shape, variant=variant), shape) for variant in ("v1", "v1.5"))
    assert one == other
    one, other = (computation(net(shape, block="bottleneck", variant=v), shape) for v in ("v1", "v1.5"))
    assert one != other


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("resnet18", {"stage2", "stage3", "stage4"}), ("resnet50", {"stage1", "stage2", "stage3", "stage4"})],
)
def test_shortcuts_project_where_the_shape_changes_and_nowhere_else(name, wanted):
    for variant in ("v1.5", "v2"):
        model = NETWORKS[name]((32, 32, 3), 10, width=8, variant=variant, init=Initializer())
        projections = {path.rsplit(".", 1)[0] for path in maps(model, (32, 32, 3)) if path.endswith("shortcut")}
        assert projections == {f"{stage}.block0" for stage in wanted}


def test_v2_has_no_norm_in_stem_and_shortcuts_and_one_behind_the_last_block():
    names = list(parameters(net((8, 1), variant="v2")))
    assert "final.norm.scale" in names
    assert not [name for name in names if re.search(r"(stem|shortcut)\.norm", name)]
    assert [name for name in names if name.startswith("stage1")] == [
        "stage1.block0.body.conv1.kernel",
        "stage1.block0.body.conv2.kernel",
        "stage1.block0.body.norm2.bias",
        "stage1.block0.body.norm2.scale",
        "stage1.block0.preact.norm.bias",
        "stage1.block0.preact.norm.scale",
    ]


@pytest.mark.parametrize("bottleneck", [False, True])
def test_the_identity_path_of_v2_is_clean(bottleneck):
    """Bodies that give 0 leave any map as it is, however many of them (eq. 4 of the second paper); v1 cuts at 0."""
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 6, 8)), jnp.float32)
    for variant, expected in (("v2", x), ("v1.5", jnp.maximum(x, 0))):
        made = Blocks(Style(1, Initializer(0, 0.0)), bottleneck, 1, 64, None, variant, "projection")
        planes = 2 if bottleneck else 8
        np.testing.assert_array_equal(made.stage(8, planes, 1, [0.0] * 3)(x, Mode(train=True)), expected)


def normalised(y: np.ndarray) -> np.ndarray:
    flat = y.reshape(-1, y.shape[-1])
    return (y - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5)


def activated(y: np.ndarray) -> np.ndarray:
    return np.maximum(normalised(y), 0)


def convolved(x: np.ndarray, conv: Any, stride: int) -> np.ndarray:
    """3 or 1 positions wide, over one spatial axis; the first window is centred on the first position."""
    kernel = np.asarray(conv.kernel[...])
    half = len(kernel) // 2
    padded = np.pad(x, ((0, 0), (half, half), (0, 0)))
    starts = range(0, x.shape[1], stride)
    return np.stack([sum(padded[:, i + k] @ kernel[k] for k in range(len(kernel))) for i in starts], 1)


SIZES = pytest.mark.parametrize(("features", "stride"), [(3, 1), (5, 1), (6, 2)])


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((4, 7, 3), dtype=np.float32)


@SIZES
def test_a_basic_block_is_figure_5(features, stride, x):
    block: Any = blocks().block(3, features, features, stride, 0.0)
    body = block.body
    y = normalised(convolved(activated(convolved(x, body.conv1, stride)), body.conv2, 1))
    if block.shortcut is None:
        assert (features, stride) == (3, 1)
        y = y + x
    else:
        y = y + normalised(convolved(x, block.shortcut.conv, stride))
    np.testing.assert_allclose(block(jnp.asarray(x), Mode(train=True)), np.maximum(y, 0), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("variant", "strides"), [("v1", (2, 1, 1)), ("v1.5", (1, 2, 1))])
def test_a_bottleneck_is_figure_5(variant, strides, x):
    block: Any = blocks(variant, bottleneck=True).block(3, 2, 8, 2, 0.0)
    body, y = block.body, x
    for i, stride in enumerate(strides, start=1):
        y = normalised(convolved(y if i == 1 else np.maximum(y, 0), getattr(body, f"conv{i}"), stride))
    y = y + normalised(convolved(x, block.shortcut.conv, 2))
    np.testing.assert_allclose(block(jnp.asarray(x), Mode(train=True)), np.maximum(y, 0), rtol=1e-3, atol=1e-4)


@SIZES
def test_a_block_of_v2_is_figure_4e(features, stride, x):
    """Its projection sees the map that is normalised and activated; the identity sees the map itself."""
    block: Any = blocks("v2").block(3, features, features, stride, 0.0)
    before = activated(x)
    y = convolved(activated(convolved(before, block.body.conv1, stride)), block.body.conv2, 1)
    y = y + (x if block.shortcut is None else convolved(before, block.shortcut.conv, stride))
    np.testing.assert_allclose(block(jnp.asarray(x), Mode(train=True)), y, rtol=1e-3, atol=1e-4)


# ---------------------------------------------------------------- options


def rates(model: nnx.Module) -> list[float]:
    return [module.rate for _, module in nnx.iter_modules(model) if isinstance(module, StochasticDepth)]


@pytest.mark.parametrize("variant", ["v1.5", "v2"])
def test_the_rate_of_stochastic_depth_rises_from_block_to_block(variant):
    """Equation 4 of Huang et al. (2016): block l of L survives with probability 1 - l / L (1 - p_L)."""
    model = NETWORKS["resnet18"]((8, 1), 5, width=2, stochastic_depth=0.4, variant=variant, init=Initializer())
    survival = [1 - block / 8 * (1 - 0.6) for block in range(1, 9)]
    assert sorted(rates(model)) == pytest.approx([1 - p for p in survival])
    assert rates(net((8, 1))) == []


@pytest.mark.parametrize(("variant", "rest"), [("v1.5", lambda x: np.maximum(x, 0)), ("v2", lambda x: x)])
def test_a_block_that_is_skipped_is_its_shortcut(variant, rest, x):
    """Examples are skipped one by one; the others have a body that is larger by what is lost."""
    block: Any = blocks(variant).block(3, 3, 3, 1, 0.5)
    plain: Any = blocks(variant).block(3, 3, 3, 1, 0.0)
    many = jnp.tile(jnp.asarray(x), (8, 1, 1))
    found = np.asarray(block(many, Mode(True, jax.random.key(1))))
    seen = plain.preact(many, Mode(train=True)) if variant == "v2" else many
    body = np.asarray(plain.body(seen, Mode(train=True)))
    skipped = [np.allclose(y, rest(before)) for y, before in zip(found, np.asarray(many), strict=True)]
    kept = [
        np.allclose(y, rest(before + 2 * change), atol=1e-5)
        for y, before, change in zip(found, np.asarray(many), body, strict=True)
    ]
    assert [not value for value in skipped] == kept
    assert 8 < sum(kept) < 24
    np.testing.assert_array_equal(block(many), plain(many))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("variant", "v2"),
        ("stem", "standard"),
        ("width", 8),
        ("activation", "gelu"),
        ("normalization", "group"),
        ("normalization", "instance"),
        ("normalization", "layer"),
        ("normalization", "none"),
        ("dropout", 0.5),
        ("stochastic_depth", 0.5),
        ("shortcut", "padding"),
        ("reduction", 4),
        ("block", "bottleneck"),
        ("stages", (2, 1)),
    ],
)
def test_every_option_changes_the_computation(option, value):
    shape = (8, 8, 1)
    default = computation(net(shape), shape)
    assert default == computation(net(shape), shape)
    assert default != computation(net(shape, **{option: value}), shape)


def test_without_normalisation_every_convolution_has_a_bias():
    for variant in ("v1.5", "v2"):
        names = parameters(net((8, 1), normalization="none", variant=variant))
        assert {name.rsplit(".", 1)[1] for name in names} == {"kernel", "bias"}
        of = {leaf: {name.rsplit(".", 1)[0] for name in names if name.endswith(leaf)} for leaf in ("kernel", "bias")}
        assert of["kernel"] == of["bias"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"block": "bottleneck", "stem": "standard"},
        {"block": "bottleneck", "variant": "v1", "normalization": "group"},
        {"variant": "v2", "normalization": "layer"},
        {"variant": "v2", "normalization": "none", "shortcut": "padding", "activation": "swish"},
    ],
)
def test_gradients_reach_every_parameter(options):
    shape = (12, 2)
    graph, params, stats = split(net(shape, seed=0, **options))
    images = jnp.asarray(np.random.default_rng(0).standard_normal((4, *shape)), jnp.float32)

    @jax.jit
    @jax.grad
    def gradient(params: Any, stats: Any) -> jax.Array:
        logits = nnx.merge(graph, params, stats)(images, Mode(train=True))
        return (logits * jnp.arange(5) * jnp.arange(1, 5)[:, None]).sum()

    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient(params, stats)):
        assert np.any(np.asarray(leaf)), path


def test_kernels_have_one_side_a_spatial_axis():
    for axes in (1, 2, 3):
        shapes = parameters(net((8,) * axes + (3,), stem="standard"))
        assert shapes["stem.conv.kernel"] == (*(7,) * axes, 3, 4)
        assert shapes["stage2.block0.body.conv1.kernel"] == (*(3,) * axes, 4, 8)
        assert shapes["stage2.block0.shortcut.conv.kernel"] == (*(1,) * axes, 4, 8)
        assert shapes["head.kernel"] == (8, 5)


def test_an_input_without_space_or_with_four_axes_is_refused():
    with pytest.raises(ShapeError) as refused:
        net((64,))
    assert refused.value.message == "needs a map with spatial axes, and gets a vector of 64"
    with pytest.raises(ShapeError) as refused:
        net((4, 4, 4, 4, 1))
    assert refused.value.message == "takes 1 or 2 or 3 spatial axes, and the input has 4"


# ---------------------------------------------------------------- torch's names


def torch_name(module: str) -> str:
    (name,) = (
        match.expand(template)
        for pattern, template in TORCH_NAMES["torchvision"]
        if (match := re.fullmatch(pattern, module))
    )
    return name


def test_every_layer_with_weights_has_one_name_in_torch():
    model = NETWORKS["resnet50"]((32, 32, 3), 10, init=Initializer())
    modules = {name.rsplit(".", 1)[0] for name in parameters(model)}
    inside = [f"{part}{i}" for part in ("conv", "bn") for i in (1, 2, 3)]
    wanted = {"conv1", "bn1", "fc"} | {f"layer{i}.0.downsample.{j}" for i in range(1, 5) for j in (0, 1)}
    for (i, depth), part in itertools.product(enumerate((3, 4, 6, 3), start=1), inside):
        wanted |= {f"layer{i}.{j}.{part}" for j in range(depth)}
    assert {torch_name(module) for module in modules} == wanted
    assert len(modules) == len(wanted) == math.prod((16, 6)) + 3 + 8
    assert torch_name("stage2.block3.body.norm1") == "layer2.3.bn1"
    assert torch_name("stage4.block0.shortcut.norm") == "layer4.0.downsample.1"
