"""ResNeXt: table 1 of Xie et al. (2017), the published counts, and the sum over paths that groups stand for."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.layers.windows import ShapeError
from cnnlab.models.blocks import Style
from cnnlab.models.resnet import Blocks, resnet
from cnnlab.models.resnext import NETWORKS
from cnnlab.trace.cost import cost, totals
from cnnlab.trace.walk import trace
from cnnlab.train.state import split


def shapes(model: nnx.Module) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    return {".".join(str(key.key) for key in path): leaf.shape for path, leaf in leaves}


@pytest.mark.parametrize(
    ("name", "count"),
    [("resnext50_32x4d", 25_028_904), ("resnext101_32x8d", 88_791_336), ("resnext101_64x4d", 83_455_272)],
)
def test_parameters_are_torchvision_s(name, count):
    model = NETWORKS[name]((224, 224, 3), 1000, init=Initializer())
    assert sum(int(np.prod(shape)) for shape in shapes(model).values()) == count


def test_resnext50_is_table_1():
    """Channels inside and out, 32 groups, stages of 3, 4, 6, 3; 4.2 billion multiply-adds."""
    model = NETWORKS["resnext50_32x4d"]((224, 224, 3), 1000, init=Initializer())
    traced = trace(model, (224, 224, 3))
    of = {call.path: call.output_shape for call in traced.calls}
    for stage, blocks, side, inner in ((1, 3, 56, 128), (2, 4, 28, 256), (3, 6, 14, 512), (4, 3, 7, 1024)):
        for block in range(blocks):
            at = f"stage{stage}.block{block}.body"
            assert of[f"{at}.conv2"] == (side, side, inner)
            assert of[f"{at}.conv3"] == (side, side, 2 * inner)
            assert shapes(model)[f"{at}.conv2.kernel"] == (3, 3, inner // 32, inner)
        assert f"stage{stage}.block{blocks}" not in of
    assert totals(cost(traced, model)).multiply_adds / 1e9 == pytest.approx(4.2, rel=0.02)


def test_groups_are_a_sum_over_paths():
    """Equation 2: every group is a small bottleneck of its own, and their outputs are added."""
    style = Style(1, Initializer(0), normalization="none", activation="tanh")
    body: Any = Blocks(style, True, 4, 16, None, "v1.5", "projection").body(6, 8, 10, 2, 0.0)
    first, second, third = (np.asarray(conv.kernel[...]) for conv in (body.conv1, body.conv2, body.conv3))
    assert second.shape == (3, 2, 8)  # 4 paths of 2 channels: 8 planes in groups of 16 / 64
    x = np.random.default_rng(0).standard_normal((2, 9, 6)).astype(np.float32)
    total = np.zeros((2, 5, 10))
    for path in range(4):
        mine = slice(2 * path, 2 * path + 2)
        y = np.pad(np.tanh(x @ first[0][:, mine]), ((0, 0), (1, 1), (0, 0)))
        y = np.stack([sum(y[:, 2 * i + k] @ second[k][:, mine] for k in range(3)) for i in range(5)], 1)
        total += np.tanh(y) @ third[0][mine]
    np.testing.assert_allclose(body(jnp.asarray(x)), total, rtol=1e-4, atol=1e-5)


def test_other_inputs_and_widths():
    model = NETWORKS["resnext50_32x4d"]((40, 2), 7, width=16, stem="small", init=Initializer())
    assert trace(model, (40, 2)).output_shape == (7,)
    assert shapes(model)["stage1.block0.body.conv2.kernel"] == (3, 1, 32)


@pytest.mark.parametrize(("name", "width", "least"), [("resnext50_32x4d", 15, 16), ("resnext101_32x8d", 7, 8)])
def test_a_width_without_channels_for_every_group_is_refused(name, width, least):
    with pytest.raises(ShapeError) as refused:
        NETWORKS[name]((32, 32, 3), 10, width=width, init=Initializer())
    assert refused.value.message == f"width {width} leaves no channel to each of the 32 groups"
    assert refused.value.hint == f"take {least} or more"
    NETWORKS[name]((32, 32, 3), 10, width=least, init=Initializer())


def test_gradients_reach_every_parameter():
    tiny: dict[str, Any] = {"stages": (1, 1), "block": "bottleneck", "groups": 2, "width_per_group": 32, "width": 4}
    graph, params, stats = split(resnet((12, 2), 5, stem="small", init=Initializer(0), **tiny))
    images = jnp.asarray(np.random.default_rng(0).standard_normal((4, 12, 2)), jnp.float32)

    @jax.jit
    @jax.grad
    def gradient(params: Any, stats: Any) -> jax.Array:
        logits = nnx.merge(graph, params, stats)(images, Mode(train=True))
        return (logits * jnp.arange(5) * jnp.arange(1, 5)[:, None]).sum()

    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient(params, stats)):
        assert np.any(np.asarray(leaf)), path
