"""What single operations do: exact, global, or named as having no exact rule."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from cnnlab.receptive_field.fields import receptive_field
from cnnlab.receptive_field.report import Layer, Report

PAD = ((0, 0), (1, 0), (0, 0))


class Apply(nnx.Module):
    """A function as a leaf layer."""

    def __init__(self, function: Callable):
        self.function = function

    def __call__(self, x: Any) -> Any:
        return self.function(x)


def conv(kernel: int, *, axes: int = 2, padding: str = "SAME", stride: int = 1) -> nnx.Conv:
    return nnx.Conv(1, 1, (kernel,) * axes, stride, padding=padding, rngs=nnx.Rngs(0))


def last(report: Report) -> Layer:
    return report.layers[-1]


# Operations that leave the field exact.


@pytest.mark.parametrize(
    ("function", "size", "stride"),
    [
        (lambda x: jnp.pad(x, ((0, 0), (2, 1), (0, 0))), (1, 1), 1),
        (lambda x: jnp.pad(x, ((0, 0), (2, 1), (0, 0)), mode="reflect"), (1, 1), 1),
        (lambda x: jnp.pad(x, ((0, 0), (2, 1), (0, 0)), mode="edge"), (1, 1), 1),
        (lambda x: jnp.pad(x, ((0, 0), (2, 1), (0, 0)), mode="wrap"), (1, 1), 1),
        (lambda x: x[:, 3::2], (1, 1), 2),
        (lambda x: x[:, ::-1], (1, 1), -1),
        (lambda x: jnp.maximum(x[:, :-1:2], x[:, 1::2]), (2, 2), 2),
        (lambda x: x.reshape(1, 8, 2, 1).mean(2), (2, 2), 2),
        (lambda x: x.reshape(1, 8, 2), (2, 2), 2),  # space to depth
        (lambda x: jnp.repeat(x, 2, 1), (1, 1), Fraction(1, 2)),
        (lambda x: jnp.concatenate([x, -x], -1).reshape(1, 16, 2, 1)[:, :, 0], (1, 1), 1),
        (lambda x: jnp.concatenate(jnp.split(x, 2, axis=1), axis=1), (1, 1), 1),
        (lambda x: jnp.stack([x, 2 * x], axis=-1).sum(-1), (1, 1), 1),
        (lambda x: jnp.stack([x, 2 * x], axis=1)[:, 1], (1, 1), 1),
        (lambda x: jnp.tile(x, (1, 1, 3)), (1, 1), 1),
        (lambda x: jnp.transpose(jnp.transpose(x, (1, 2, 0))[None], (0, 3, 1, 2))[0], (1, 1), 1),
        (lambda x: jnp.take(jnp.tile(x, 4), jnp.array([3, 1, 0, 2]), axis=-1), (1, 1), 1),
        (lambda x: jnp.sort(x, axis=-1), (1, 1), 1),
        (lambda x: jnp.cumsum(x, axis=-1), (1, 1), 1),
        (lambda x: jax.lax.top_k(jnp.tile(x, 4), 2)[0], (1, 1), 1),
        (lambda x: jnp.argmax(jnp.tile(x, 4), axis=-1, keepdims=True), (1, 1), 1),
        (lambda x: x @ jnp.ones((1, 5)), (1, 1), 1),
        (lambda x: jnp.einsum("bnc,dc->bnd", x, jnp.ones((5, 1))), (1, 1), 1),
        (lambda x: jnp.einsum("bnc,bnc->bn", x, x)[..., None], (1, 1), 1),
        (lambda x: jax.nn.softmax(x), (1, 1), 1),
        (lambda x: jnp.where(x > 0, x, jnp.clip(x, -1, 1)), (1, 1), 1),
        (lambda x: jax.lax.dynamic_slice(x, (0, 2, 0), (1, 9, 1)), (1, 1), 1),
        (lambda x: jax.lax.optimization_barrier((x, 2 * x))[1], (1, 1), 1),
        (lambda x: jax.checkpoint(jnp.sin)(x), (1, 1), 1),
        (lambda x: jax.lax.fori_loop(0, 3, lambda i, y: jnp.maximum(y, jnp.roll(y, 0, 2)), x), (1, 1), 1),
        (lambda x: jax.lax.cond(True, lambda y: y, lambda y: y[:, ::-1][:, ::-1], x), (1, 1), 1),
        (lambda x: jax.lax.reduce_window(x, 0.0, lambda a, b: a + 2 * b, (1, 3, 1), (1, 2, 1), "VALID"), (3, 3), 2),
        (lambda x: jax.lax.conv_transpose(x, jnp.ones((3, 1, 1)), (2,), "SAME"), (1, 2), Fraction(1, 2)),
        (lambda x: jax.vmap(lambda y: nnx.avg_pool(y, (2,), (2,)))(x), (2, 2), 2),
        (lambda x: jnp.ones((1, 16, 1)) * 2 + x, (1, 1), 1),
        (lambda x: jax.image.resize(x, (1, 7, 1), "nearest"), (1, 1), Fraction(16, 7)),
        (lambda x: jax.image.resize(x, (1, 32, 1), "linear"), (2, 2), Fraction(1, 2)),
        (lambda x: jax.image.resize(x, (1, 24, 1), "cubic"), (4, 4), Fraction(2, 3)),
        (lambda x: x[:, jnp.array([1, 4, 7, 10, 13])], (1, 1), 3),
        (lambda x: jnp.roll(x, 3, 1), (1, 1), 1),
        (lambda x: x.reshape(1, 8, 2, 1).reshape(1, 16, 1), (1, 1), 1),
        (lambda x: x.reshape(1, 4, 4, 1).reshape(1, 4, 4, 1).reshape(1, 16, 1), (1, 1), 1),
        (lambda x: jax.lax.dynamic_slice(x, (0, jnp.int32(2) + 0, 0), (1, 9, 1)), (1, 1), 1),
    ],
)
def test_these_operations_are_followed_exactly(function: Callable, size: tuple[int, int], stride: int | Fraction):
    report = receptive_field(nnx.Sequential(Apply(function)), (16, 1))
    (extent,) = last(report).axes
    assert report.exact, report.treated_as_global
    assert extent is not None
    assert (extent.size, extent.stride) == (size, stride)
    assert last(report).flags == ()


@pytest.mark.parametrize("mode", ["constant", "reflect", "symmetric", "edge", "wrap"])
def test_padding_of_every_kind_counts_as_zeros_do(mode: str):
    def pad(x: jax.Array) -> jax.Array:
        return jnp.pad(x, ((0, 0), (2, 1), (3, 3), (0, 0)), mode=mode)

    report = receptive_field(nnx.Sequential(conv(3), Apply(pad), conv(3, padding="VALID")), (9, 8, 1))
    assert report.exact
    assert last(report).to_json()["size"] == [5, 5]
    assert last(report).to_json()["padding"] == [[3, 2], [4, 4]]


def test_a_map_of_one_unit_keeps_its_field_until_it_is_flattened():
    squeezed = nnx.Sequential(
        conv(8, padding="VALID", stride=8), Apply(lambda x: x.reshape(1, 1, 1, 1, 1)[:, :, :, 0]), conv(1)
    )
    assert last(receptive_field(squeezed, (8, 8, 1))).to_json()["size"] == [8, 8]
    for flatten in (lambda x: x.reshape(1, -1), lambda x: x.squeeze((1, 2)), lambda x: x[:, 0, 0]):
        report = receptive_field(nnx.Sequential(conv(8, padding="VALID", stride=8), Apply(flatten)), (8, 8, 1))
        assert report.exact
        assert last(report).flags == ("global",)


def test_a_scan_runs_its_body_as_often_as_it_says():
    def three_times(x: jax.Array) -> jax.Array:
        def step(y: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array]:
            y = weight * nnx.avg_pool(y, (3,), (1,), "SAME")
            return y, y

        carried, stacked = jax.lax.scan(step, x, jnp.ones(3))
        return jnp.concatenate([carried, stacked.sum(0)], -1)

    report = receptive_field(Apply(three_times), (32, 1))
    assert report.exact
    assert last(report).to_json()["size"] == [7]


# Global, and inexact.


def squeeze_excite(x: jax.Array) -> jax.Array:
    return x * nnx.sigmoid(x.mean((1, 2), keepdims=True))


def squeeze_excite_by_pooling(x: jax.Array) -> jax.Array:
    return x * nnx.sigmoid(nnx.avg_pool(x, x.shape[1:3]))


def group_norm(x: jax.Array) -> jax.Array:
    grouped = x.reshape(x.shape[0], -1, 1, x.shape[-1])
    return ((grouped - grouped.mean((1, 3), keepdims=True)) / grouped.std((1, 3), keepdims=True)).reshape(x.shape)


def attention(x: jax.Array) -> jax.Array:
    tokens = x.reshape(1, -1, 1)
    return (jax.nn.softmax(tokens @ tokens.mT) @ tokens).reshape(x.shape)


@pytest.mark.parametrize(
    "function",
    [
        squeeze_excite,
        squeeze_excite_by_pooling,
        group_norm,
        attention,
        lambda x: x.mean((1, 2)),
        lambda x: x.max((1, 2)),
        lambda x: jnp.cumsum(x, axis=1).cumsum(axis=2),
    ],
)
def test_what_looks_at_the_whole_image_is_global_and_exact(function: Callable):
    report = receptive_field(nnx.Sequential(conv(3), Apply(function)), (16, 16, 1))
    assert report.exact, report.treated_as_global
    assert last(report).flags == ("global",)
    assert last(report).to_json()["size"] is None
    assert report.model is not None
    assert report.model.path == "layers.0"


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (lambda x: jnp.tile(x, (1, 2, 1)), "tile"),
        (lambda x: jax.lax.while_loop(lambda y: y.sum() < 9, lambda y: y + 1, x), "while"),
        (lambda x: jnp.fft.rfft(x).real, "fft"),
        (lambda x: x[:, 4][:, None] + x, "add"),
        (lambda x: x + x[:, 4:5], "add"),
        (lambda x: jnp.concatenate([x, nnx.max_pool(x, (3,), (1,), "SAME")], 1), "concatenate"),
        (lambda x: jnp.concatenate([x, nnx.max_pool(x, (3,), (1,))[:, :2]], 1), "concatenate"),
        (lambda x: x.at[:, 3].set(0.0), "scatter"),
        (lambda x: x[:, ::2] + x[:, :8], "add"),
        (lambda x: x.mT + x, "add"),
        (lambda x: jax.lax.conv(x.mT, x[:, :3].mT, (1,), "SAME").mT, "conv_general_dilated"),
        (lambda x: jax.lax.scan(lambda c, y: (c + y, c), x[0, 0], x[0])[1][None], "scan"),
        (
            lambda x: jax.lax.scan(lambda y, _: (jnp.maximum(y, jnp.pad(y, PAD)[:, :-1]), None), x, None, length=1001)[
                0
            ],
            "scan",
        ),
        (lambda x: jax.lax.cond(True, lambda y: y, lambda y: y[:, ::-1], x), "cond"),
    ],
)
def test_what_has_no_exact_rule_is_global_and_named(function: Callable, operation: str):
    report = receptive_field(nnx.Sequential(conv(3, axes=1), Apply(function), Apply(nnx.relu)), (16, 1))
    assert not report.exact
    assert operation in report.treated_as_global
    assert last(report).flags == ("global",)
    assert report.to_json()["treated_as_global"] == list(report.treated_as_global)


def test_a_piece_from_another_layer_is_no_border():
    class Extend(nnx.Module):
        def __init__(self):
            self.inner = Apply(lambda x: 2 * x)

        def __call__(self, x: jax.Array) -> jax.Array:
            return jnp.concatenate([x, self.inner(x)[:, :3]], 1)

    assert receptive_field(Extend(), (16, 1)).treated_as_global == ("concatenate",)


def test_a_layer_inside_an_operation_without_a_rule_has_a_row():
    class Loop(nnx.Module):
        def __init__(self):
            self.inner = conv(3, axes=1)

        def __call__(self, x: jax.Array) -> jax.Array:
            graph, state = nnx.split(self.inner)
            return jax.lax.while_loop(lambda y: y.sum() < 9, lambda y: nnx.merge(graph, state)(y), x)

    report = receptive_field(Loop(), (16, 1))
    assert report.treated_as_global == ("while",)
    assert [(layer.path, layer.flags) for layer in report.layers] == [("inner", ("global",))]
