"""ResNet for CIFAR: section 4.2 of He et al. (2016), counts by formula, and option A in NumPy."""

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
from cnnlab.models.resnet import PaddedShortcut
from cnnlab.models.resnet_cifar import NETWORKS, resnet_cifar
from cnnlab.trace.walk import trace
from cnnlab.train.state import split

IMAGE = (32, 32, 3)
# Section 4.2 and table 6: layers, parameters in millions; beside them those of option A to the last one.
PUBLISHED = {
    20: (0.27, 269_722),
    32: (0.46, 464_154),
    44: (0.66, 658_586),
    56: (0.85, 853_018),
    110: (1.7, 1_727_962),
}


def net(input_shape: tuple[int, ...], *, seed: int | None = None, **options: Any) -> nnx.Module:
    return resnet_cifar(input_shape, 10, init=Initializer(seed), **{"depth": 8, "width": 4, **options})


def maps(model: nnx.Module, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {call.path: call.output_shapes[0] for call in trace(model, input_shape).calls}


def shapes(model: nnx.Module) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    return {".".join(str(key.key) for key in path): leaf.shape for path, leaf in leaves}


def parameters(model: nnx.Module) -> int:
    return sum(int(np.prod(shape)) for shape in shapes(model).values())


def counted(
    depth: int, *, channels: int = 3, width: int = 16, axes: int = 2, projections: bool = False, v2: bool = False
) -> int:
    """Every 3x3 from the channels that it sees to those that it gives, two numbers of a norm each, ten classes."""
    k, n, (a, b, c) = 3**axes, (depth - 2) // 6, (width, 2 * width, 4 * width)
    total = k * channels * a + k * a * a * 2 * n
    for before, after in ((a, b), (b, c)):
        total += k * before * after + k * after * after * (2 * n - 1) + (before * after if projections else 0)
    norms = a + 2 * n * (a + b + c)  # behind every convolution
    if v2:
        norms = sum(2 * n * size for size in (a, b, c)) + a - b + b - c + c  # before each in a body, and the last
    elif projections:
        norms += b + c
    return total + 2 * norms + (c + 1) * 10


@pytest.mark.parametrize("depth", PUBLISHED)
def test_layers_and_parameters_are_the_published_ones(depth):
    millions, count = PUBLISHED[depth]
    model = NETWORKS[f"resnet{depth}"](IMAGE, 10, init=Initializer())
    assert parameters(model) == count == counted(depth)
    assert count / 1e6 == pytest.approx(millions, abs=0.03)
    kernels = [name for name in shapes(model) if name.endswith("kernel")]
    assert len(kernels) == depth  # with option A no shortcut has any


@pytest.mark.parametrize(
    ("options", "formula", "input_shape"),
    [
        ({"shortcut": "projection"}, {"projections": True}, IMAGE),
        ({"variant": "v2"}, {"v2": True}, IMAGE),
        ({"variant": "v2", "shortcut": "projection"}, {"v2": True, "projections": True}, IMAGE),
        ({"width": 7}, {"width": 7, "channels": 1}, (28, 28, 1)),
        ({"width": 3, "shortcut": "projection"}, {"width": 3, "axes": 1, "projections": True}, (100, 3)),
        ({"width": 3}, {"width": 3, "axes": 3, "channels": 2}, (9, 8, 7, 2)),
    ],
)
def test_parameters_of_other_forms_follow_from_the_papers_rules(options, formula, input_shape):
    assert parameters(NETWORKS["resnet20"](input_shape, 10, init=Initializer(), **options)) == counted(20, **formula)


def test_the_maps_are_those_of_section_4_2():
    for variant in ("v1", "v2"):
        of = maps(NETWORKS["resnet20"](IMAGE, 10, variant=variant, init=Initializer()), IMAGE)
        names = ("stem", "stage1", "stage2", "stage3", "pool", "head")
        assert [of[name] for name in names] == [(32, 32, 16), (32, 32, 16), (16, 16, 32), (8, 8, 64), (64,), (10,)]
        assert "stem.pool" not in of


def test_odd_maps_and_single_positions():
    assert maps(net((9, 1)), (9, 1))["stage3"] == (3, 16)
    assert maps(net((1, 5, 7, 1)), (1, 5, 7, 1))["stage3"] == (1, 2, 2, 16)


@pytest.mark.parametrize("shape", [(2, 8, 3), (2, 7, 5, 3), (1, 4, 3, 5, 3)])
def test_option_a_takes_every_second_position_and_adds_zeros(shape):
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    wanted = np.zeros((shape[0], *(-(-n // 2) for n in shape[1:-1]), 7), np.float32)
    for index in np.ndindex(wanted.shape[:-1]):
        wanted[index][:3] = x[(index[0], *(2 * i for i in index[1:]))]
    np.testing.assert_array_equal(PaddedShortcut(7, 2)(jnp.asarray(x)), wanted)


def test_the_shortcuts_are_those_that_are_asked_for():
    for shortcut, kind in (("padding", "PaddedShortcut"), ("projection", "Sequential")):
        calls = trace(net((8, 8, 1), shortcut=shortcut), (8, 8, 1)).calls
        found = {call.path: call.kind for call in calls if call.path.endswith("shortcut")}
        assert found == {"stage2.block0.shortcut": kind, "stage3.block0.shortcut": kind}


def test_bodies_that_give_nothing_leave_the_input_in_the_first_channels():
    """The identity path of v2 runs through the whole network, but for the norm and activation where maps change."""
    model: Any = net((8, 8, 4), seed=0, variant="v2", normalization="none")
    for name, stage in (("stage1", model.stage1), ("stage2", model.stage2), ("stage3", model.stage3)):
        stage.block0.body.conv2.kernel[...] = 0 * stage.block0.body.conv2.kernel[...]
        assert name in model.order
    x = np.random.default_rng(0).standard_normal((2, 8, 8, 4)).astype(np.float32)
    found = model.stage3(model.stage2(model.stage1(jnp.asarray(x))))
    np.testing.assert_array_equal(found[..., :4], np.maximum(x, 0)[:, ::4, ::4])
    assert not np.any(found[..., 4:])


def test_the_rates_of_stochastic_depth_are_the_papers():
    """Huang et al. (2016), section 4: 110 layers, 54 blocks, the last one survives with probability 0.5."""
    model = NETWORKS["resnet110"](IMAGE, 10, stochastic_depth=0.5, init=Initializer())
    found = {".".join(map(str, path)): m.rate for path, m in nnx.iter_modules(model) if isinstance(m, StochasticDepth)}
    order = {tuple(map(int, re.findall(r"\d+", path))): rate for path, rate in found.items()}
    assert [order[key] for key in sorted(order)] == pytest.approx([block / 54 * 0.5 for block in range(1, 55)])


def computation(model: nnx.Module, input_shape: tuple[int, ...]) -> str:
    """What a training pass computes, parameters as inputs: two networks of one text are the same."""
    graph, state = nnx.split(model)
    example = jax.ShapeDtypeStruct((2, *input_shape), jnp.float32)
    forward = lambda state, x, key: nnx.merge(graph, state)(x, Mode(train=True, key=key))  # noqa: E731
    return re.sub("0x[0-9a-f]+", "", str(jax.make_jaxpr(forward)(state, example, jax.random.key(0))))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("variant", "v2"),
        ("shortcut", "projection"),
        ("width", 8),
        ("activation", "tanh"),
        ("normalization", "none"),
        ("dropout", 0.5),
        ("stochastic_depth", 0.5),
        ("depth", 14),
    ],
)
def test_every_option_changes_the_computation(option, value):
    shape = (8, 8, 1)
    default = computation(net(shape), shape)
    assert default == computation(net(shape), shape)
    assert default != computation(net(shape, **{option: value}), shape)


@pytest.mark.parametrize("options", [{}, {"variant": "v2"}, {"shortcut": "projection", "normalization": "none"}])
def test_gradients_reach_every_parameter(options):
    graph, params, stats = split(net((12, 2), seed=0, **options))
    images = jnp.asarray(np.random.default_rng(0).standard_normal((4, 12, 2)), jnp.float32)

    @jax.jit
    @jax.grad
    def gradient(params: Any, stats: Any) -> jax.Array:
        logits = nnx.merge(graph, params, stats)(images, Mode(train=True))
        return (logits * jnp.arange(10) * jnp.arange(1, 5)[:, None]).sum()

    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient(params, stats)):
        assert np.any(np.asarray(leaf)), path


@pytest.mark.parametrize("depth", [2, 7, 18, 49])
def test_a_depth_that_is_not_6n_plus_2_is_refused(depth):
    with pytest.raises(ValueError, match=f"^depth {depth} is not 6n \\+ 2$"):
        net(IMAGE, depth=depth)
