"""Known receptive fields, what is global, what is inexact, and what is misaligned."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.errors import CnnlabError
from cnnlab.receptive_field.fields import fields, receptive_field
from cnnlab.receptive_field.report import Layer, Report
from cnnlab.trace.walk import trace

RNGS = nnx.Rngs(0)
Pads = str | int | Sequence[tuple[int, int]]


def conv(kernel: int | Sequence[int], stride: Any = 1, padding: Pads = "SAME", *, axes: int = 2, **options: Any):
    """A convolution of one channel, as nnx has it."""
    size = (kernel,) * axes if isinstance(kernel, int) else tuple(kernel)
    return nnx.Conv(1, 1, size, stride, padding=padding, rngs=RNGS, **options)


class Apply(nnx.Module):
    """A function as a leaf layer."""

    def __init__(self, function: Callable):
        self.function = function

    def __call__(self, x: Any) -> Any:
        return self.function(x)


def max_pool(size: int, stride: int, padding: Pads = "VALID", axes: int = 2) -> Apply:
    return Apply(partial(nnx.max_pool, window_shape=(size,) * axes, strides=(stride,) * axes, padding=padding))


class Net(nnx.Module):
    """Layers one after the other; functions among them belong to the net itself."""

    def __init__(self, *layers: Callable):
        self.layers = nnx.List(layers)

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers:
            x = layer(x)
        return x


class Join(nnx.Module):
    """The same input through several paths, and what comes out joined."""

    def __init__(self, *paths: Callable, by: Callable = sum):
        self.paths, self.by = nnx.List(paths), by

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.by([path(x) for path in self.paths])


def identity(x: jax.Array) -> jax.Array:
    return x


def last(report: Report) -> Layer:
    return report.layers[-1]


def row(report: Report) -> tuple[Any, Any, Any]:
    """Size, stride and padding of the model's line, where all axes and both sides have the same."""
    assert report.model is not None
    document = report.model.to_json()
    (size,), (stride,) = set(document["size"]), set(document["stride"])
    (padding,) = {low for low, _ in document["padding"]}
    return size, stride, padding


# Published figures.


def vgg16() -> Net:
    layers = []
    for convolutions in (2, 2, 3, 3, 3):
        layers += [conv(3, padding=1) for _ in range(convolutions)] + [nnx.relu, max_pool(2, 2)]
    return Net(*layers)


class BasicBlock(nnx.Module):
    def __init__(self, stride: int):
        self.conv1, self.conv2 = conv(3, stride, padding=1), conv(3, padding=1)
        self.norm1, self.norm2 = nnx.BatchNorm(1, rngs=RNGS), nnx.BatchNorm(1, rngs=RNGS)
        self.shortcut = conv(1, stride) if stride > 1 else None

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.norm2(self.conv2(nnx.relu(self.norm1(self.conv1(x)))))
        return nnx.relu(y + (x if self.shortcut is None else self.shortcut(x)))


def resnet(*stages: int) -> Net:
    layers: list[Callable] = [conv(7, 2, padding=3), max_pool(3, 2, ((1, 1), (1, 1)))]
    for i, depth in enumerate(stages):
        layers += [BasicBlock(2 if i and j == 0 else 1) for j in range(depth)]
    return Net(*layers)


def test_vgg16_is_as_published():
    assert row(receptive_field(vgg16(), (224, 224, 1))) == (212, "32", 90)


@pytest.mark.parametrize(("stages", "size", "flags"), [((2, 2, 2, 2), 435, ()), ((3, 4, 6, 3), 899, ("saturated",))])
def test_resnets_are_as_published(stages: tuple[int, ...], size: int, flags: tuple[str, ...]):
    report = receptive_field(resnet(*stages), (224, 224, 1))
    assert row(report) == (size, "32", (size - 1) // 2)
    assert report.exact
    assert last(report).flags == flags
    assert last(report).to_json()["first_center"] == [0.0, 0.0]


def test_dilated_convolutions_1_2_4_see_15():
    net = Net(*(conv(3, kernel_dilation=d) for d in (1, 2, 4)))
    assert row(receptive_field(net, (32, 32, 1))) == (15, "1", 7)


def test_parallel_1x7_7x1_and_3x3_see_7x7():
    net = Net(Join(conv((1, 7)), conv((7, 1)), conv(3), by=partial(jnp.concatenate, axis=-1)), Apply(nnx.relu))
    report = receptive_field(net, (32, 32, 1))
    assert row(report) == (7, "1", 3)
    assert last(report).flags == ()


def test_axes_have_fields_of_their_own():
    net = Net(conv((1, 7), (2, 1)), conv((5, 1), (2, 1)))
    assert last(receptive_field(net, (32, 24, 1))).to_json() == {
        "path": "layers.1",
        "operation": "conv",
        "output_shape": [8, 24, 1],
        "size": [9, 7],
        "stride": ["4", "1"],
        # SAME on 16 rows, kernel 5, stride 2: one before, two behind.
        "padding": [[2, 4 * 7 - 2 + 8 - 31], [3, 3]],
        "first_center": [2.0, 0.0],
        "narrowest": [9, 7],
        "seen": 9 * 7 / (32 * 24),
        "density": 5 / 9,  # the first convolution leaves out every other row
        "flags": ["gridding"],
        "global": False,
    }


def test_wavenet_in_one_dimension_sees_1025():
    net = Net(*(conv([2], padding="CAUSAL", kernel_dilation=d, axes=1) for d in (1, *(2**i for i in range(10)))))
    report = receptive_field(net, (4000, 1))
    assert row(report) == (1025, "1", 1024)
    assert last(report).to_json()["padding"] == [[1024, 0]]


def test_three_dimensions():
    net = Net(conv((3, 5, 7), (1, 2, 3), "VALID", axes=3), max_pool(2, 2, axes=3))
    document = last(receptive_field(net, (16, 16, 16, 1))).to_json()
    assert document["size"] == [4, 7, 10]
    assert document["stride"] == ["2", "4", "6"]


def test_a_u_net_of_valid_convolutions_sees_188_or_204_by_phase():
    def level(deeper: Callable | None) -> Net:
        convolutions = [conv(3, padding="VALID"), conv(3, padding="VALID")]
        if deeper is None:
            return Net(*convolutions)
        up = nnx.ConvTranspose(1, 1, (2, 2), (2, 2), padding="VALID", rngs=RNGS)
        after = [conv(3, padding="VALID"), conv(3, padding="VALID")]

        def crop(maps: list[jax.Array]) -> jax.Array:
            skip, below = maps
            edge = (skip.shape[1] - below.shape[1]) // 2
            return skip[:, edge : edge + below.shape[1], edge : edge + below.shape[2]] + below

        return Net(*convolutions, Join(identity, Net(max_pool(2, 2), deeper, up), by=crop), *after)

    report = receptive_field(level(level(level(level(level(None))))), (572, 572, 1))
    assert report.exact
    assert last(report).output_shape == (388, 388, 1)
    assert last(report).to_json()["size"] == [[188, 204], [188, 204]]
    assert last(report).to_json()["stride"] == ["1", "1"]


# Closed form, through a model.

layers = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 2), st.integers(0, 3), st.integers(0, 3))


@settings(max_examples=20, deadline=None)
@given(st.lists(layers, min_size=1, max_size=4))
def test_a_chain_has_the_closed_form(chain: list[tuple[int, int, int, int, int]]):
    n = positions = 1200
    size, jump, padding, modules = 1, 1, 0, []
    for i, (kernel, stride, dilation, low, high) in enumerate(chain):
        pooling = i % 2 == 1
        dilation = 1 if pooling else dilation
        pads = ((min(low, kernel - 1), min(high, kernel - 1)),)
        modules.append(
            max_pool(kernel, stride, pads, axes=1)
            if pooling
            else conv([kernel], stride, pads, kernel_dilation=dilation, axes=1)
        )
        size += dilation * (kernel - 1) * jump
        padding += pads[0][0] * jump
        jump *= stride
        n = (n + sum(pads[0]) - dilation * (kernel - 1) - 1) // stride + 1
    document = last(receptive_field(Net(*modules), (positions, 1))).to_json()
    assert document["output_shape"] == [n, 1]
    assert document["size"] == [size]
    assert document["stride"] == [str(jump)]
    assert document["padding"] == [[padding, (n - 1) * jump - padding + size - 1 - (positions - 1)]]
    assert document["first_center"] == [-padding + (size - 1) / 2]


def test_pooling_as_shifted_slices_is_the_same_as_reduce_window():
    def sliced(x: jax.Array) -> jax.Array:
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
        parts = [padded[:, i : i + 15 : 2, j : j + 15 : 2] for i in range(3) for j in range(3)]
        return jnp.stack(parts).max(0)

    def document(pool: Callable) -> dict[str, Any]:
        return last(receptive_field(Net(conv(3), pool, conv(3)), (16, 16, 1))).to_json()

    in_net, in_leaf, own = document(sliced), document(Apply(sliced)), document(max_pool(3, 2, ((1, 1), (1, 1))))
    assert in_net == in_leaf == own
    assert own["flags"] == []


# Where the axis ends.


def test_flatten_and_dense_are_global():
    net = Net(conv(3), Apply(lambda x: x.reshape(1, -1)), nnx.Linear(256, 10, rngs=RNGS))
    report = receptive_field(net, (16, 16, 1))
    assert [layer.is_global for layer in report.layers] == [False, True, True]
    assert [layer.output_shape for layer in report.layers] == [(16, 16, 1), (256,), (10,)]
    assert report.exact


def test_one_axis_may_be_global_and_the_other_not():
    report = receptive_field(Net(conv(3), Apply(lambda x: x.mean(1))), (16, 12, 1))
    document = last(report).to_json()
    assert document["global"]
    assert document["size"] == [None, 3]
    assert document["padding"] == [None, [1, 1]]
    assert report.model is last(report)


def test_tokens_have_no_place_but_keep_their_fields():
    report = receptive_field(
        Net(conv(4, 4, "VALID"), Apply(lambda x: x.reshape(1, -1, 1)), Apply(lambda x: x.reshape(1, 4, 4, 1)), conv(3)),
        (16, 16, 1),
    )
    assert [layer.is_global for layer in report.layers] == [False, True, False, False]
    assert report.exact
    assert row(report) == (12, "4", 4)


def test_a_layer_that_ignores_the_image_is_constant():
    report = receptive_field(Net(conv(3), Apply(lambda x: jnp.ones(x.shape))), (8, 8, 1))
    assert last(report).flags == ("constant",)
    assert not last(report).is_global
    assert last(report).to_json()["size"] is None
    assert report.exact


# Misaligned paths.


def test_paths_whose_centers_differ_are_flagged_with_the_offset_and_their_union_is_taken():
    # SAME pads the strided 3x3 behind only, so it is centred one position after the 1x1.
    net = Net(conv(3), Join(conv(3, 2), conv(1, 2)), conv(3))
    report = receptive_field(net, (16, 16, 1))
    assert [layer.flags for layer in report.layers] == [(), (), (), ("misaligned",)]
    assert last(report).offset == (1, 1)
    assert last(report).to_json()["size"] == [9, 9]  # -1 to 3, and a 3x3 with stride 2 over that
    assert last(report).to_json()["offset"] == ["1", "1"]
    assert report.exact


def test_aligned_paths_are_not_flagged():
    net = Net(conv(3), Join(conv(3, 2, padding=1), conv(1, 2)), conv(3))
    report = receptive_field(net, (16, 16, 1))
    assert last(report).flags == ()
    assert "offset" not in last(report).to_json()


def test_a_net_that_pools_by_itself_is_a_layer_of_its_own_in_that():
    def with_pooled(x: jax.Array) -> jax.Array:
        return x + nnx.max_pool(x, (2, 2), (1, 1), "SAME")

    report = receptive_field(Net(conv(3), with_pooled, conv(1)), (16, 16, 1))
    assert last(report).offset == (Fraction(1, 2), Fraction(1, 2))


def test_along_an_axis_where_paths_agree_the_offset_is_zero():
    net = Net(Join(conv((2, 3)), conv(3)), conv(1))
    assert last(receptive_field(net, (16, 16, 1))).offset == (Fraction(1, 2), 0)


def test_an_up_sampled_path_is_aligned_on_average():
    below = Net(max_pool(2, 2), conv(3), Apply(lambda x: jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)))
    report = receptive_field(Net(conv(3), Join(below, conv(1)), conv(1)), (16, 16, 1))
    assert last(report).flags == ()
    assert report.exact


def test_a_layer_with_several_outputs_has_the_first_ones_row():
    def pyramid(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return nnx.max_pool(x, (2, 2), (2, 2)), x

    assert row(receptive_field(Apply(pyramid), (16, 16, 1))) == (2, "2", 0)


def test_a_model_that_is_one_leaf_has_one_row():
    report = receptive_field(conv(3), (8, 8, 1))
    assert [layer.path for layer in report.layers] == [""]


def test_shapes_without_weights_give_the_same():
    def model() -> nnx.Module:
        return nnx.Sequential(*(nnx.Conv(1, 1, (3, 3), strides=2, rngs=nnx.Rngs(0)) for _ in range(2)))

    assert receptive_field(nnx.eval_shape(model), (32, 32, 1)) == receptive_field(model(), (32, 32, 1))


def test_a_traced_model_can_be_used_again():
    net = resnet(1, 1)
    assert fields(trace(net, (32, 32, 1))) == receptive_field(net, (32, 32, 1))


@pytest.mark.parametrize(("shape", "shown"), [((8,), "an input 8"), ((), "an input of no axes")])
def test_an_input_without_spatial_axes_is_refused(shape: tuple[int, ...], shown: str):
    with pytest.raises(CnnlabError, match=f"{shown} has no spatial axis.*; give the size of every axis"):
        receptive_field(nnx.Linear(8, 2, rngs=RNGS), shape)
