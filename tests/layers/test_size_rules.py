"""The sizes of Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016): each relationship
under its number, for maps of one, two and three axes at once, and the figures' examples."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.layers.conv import Conv, ConvTranspose, Dense
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.pool import AvgPool, MaxPool
from cnnlab.layers.separable import DepthwiseConv, SeparableConv, SpatiallySeparableConv


class Axis(NamedTuple):
    """Along one axis: input, kernel, stride, zeros on both sides, dilation, as the guide calls them."""

    i: int
    k: int
    s: int = 1
    p: int = 0
    d: int = 1

    @property
    def o(self) -> int:
        """How many windows fit, counted one by one."""
        reach = (self.k - 1) * self.d + 1
        return sum(1 for start in range(0, self.i + 2 * self.p, self.s) if start + reach <= self.i + 2 * self.p)

    @property
    def a(self) -> int:
        """The positions behind the last window that it never sees."""
        return (self.i + 2 * self.p - self.k) % self.s


# Here i is by how much a map is larger than the smallest that fits.
AXES = st.lists(
    st.builds(Axis, st.integers(0, 9), st.integers(1, 5), st.integers(1, 4), st.integers(0, 4), st.integers(1, 3)),
    min_size=1,
    max_size=3,
)


def fitting(axis: Axis) -> Axis:
    return axis._replace(i=max((axis.k - 1) * axis.d + 1 - 2 * axis.p, 1) + axis.i)


def whole(axis: Axis) -> Axis:
    """The same with a map that the windows cover to its end."""
    axis = fitting(axis)
    return axis._replace(i=axis.i + -(axis.i + 2 * axis.p - axis.k) % axis.s)


def half(axis: Axis, **others: int) -> Axis:
    n = axis.k // 2
    return axis._replace(k=2 * n + 1, p=n, **others)


def sizes(layer: nnx.Module, space: list[int], channels: int = 1) -> tuple[int, ...]:
    """What the layer makes of a map of `space`, traced from shapes alone."""
    return jax.eval_shape(layer, jax.ShapeDtypeStruct((1, *space, channels), jnp.float32)).shape[1:-1]


def convolution(axes: list[Axis]) -> Conv:
    kernel, stride, dilation = (tuple(getattr(axis, name) for axis in axes) for name in "ksd")
    padding = tuple((axis.p, axis.p) for axis in axes)
    settings = {"stride": stride, "padding": padding, "dilation": dilation}
    return Conv(1, 1, kernel, axes=len(axes), init=Initializer(), **settings)


def transposed(axes: list[Axis], in_features: int = 1, features: int = 1, seed: int | None = None) -> ConvTranspose:
    """The transpose of `convolution`: what that padded is cut off; at the end `a` positions less."""
    kernel, stride = (tuple(getattr(axis, name) for axis in axes) for name in "ks")
    padding = tuple((axis.p, axis.p - axis.a) for axis in axes)
    settings = {"stride": stride, "padding": padding, "bias": False}
    return ConvTranspose(in_features, features, kernel, axes=len(axes), init=Initializer(seed), **settings)


# By its number: the case that a relationship is about, and the output's size.
CONVOLUTION: dict[int, tuple[Callable[[Axis], Axis], Callable[[Axis], int]]] = {
    1: (lambda x: fitting(x._replace(s=1, p=0, d=1)), lambda x: (x.i - x.k) + 1),
    2: (lambda x: fitting(x._replace(s=1, d=1)), lambda x: (x.i - x.k) + 2 * x.p + 1),
    3: (lambda x: fitting(half(x, s=1, d=1)), lambda x: x.i),
    4: (lambda x: fitting(x._replace(s=1, p=x.k - 1, d=1)), lambda x: x.i + (x.k - 1)),
    5: (lambda x: fitting(x._replace(p=0, d=1)), lambda x: (x.i - x.k) // x.s + 1),
    6: (lambda x: fitting(x._replace(d=1)), lambda x: (x.i + 2 * x.p - x.k) // x.s + 1),
    15: (fitting, lambda x: (x.i + 2 * x.p - x.k - (x.k - 1) * (x.d - 1)) // x.s + 1),
}


@pytest.mark.parametrize("number", CONVOLUTION)
@settings(max_examples=40, deadline=None)
@given(AXES)
def test_a_convolution_has_the_size_of_its_relationship(number, drawn):
    case, size = CONVOLUTION[number]
    axes = [case(axis) for axis in drawn]
    expected = tuple(map(size, axes))
    assert sizes(convolution(axes), [axis.i for axis in axes]) == expected == tuple(axis.o for axis in axes)


@pytest.mark.parametrize("pool", [MaxPool, AvgPool])
@settings(max_examples=40, deadline=None)
@given(AXES)
def test_pooling_has_the_size_of_relationship_7(pool, drawn):
    axes = [fitting(axis._replace(p=0, d=1)) for axis in drawn]
    layer = pool(tuple(x.k for x in axes), axes=len(axes), stride=tuple(x.s for x in axes))
    assert sizes(layer, [x.i for x in axes]) == tuple((x.i - x.k) // x.s + 1 for x in axes)


# The convolution whose transpose it is, and the transpose's size from that of its own input, i'.
TRANSPOSED: dict[int, tuple[Callable[[Axis], Axis], Callable[[Axis, int], int]]] = {
    8: (lambda x: fitting(x._replace(s=1, p=0)), lambda x, i: i + (x.k - 1)),
    9: (lambda x: fitting(x._replace(s=1)), lambda x, i: i + (x.k - 1) - 2 * x.p),
    10: (lambda x: fitting(half(x, s=1)), lambda x, i: i),
    11: (lambda x: fitting(x._replace(s=1, p=x.k - 1)), lambda x, i: i - (x.k - 1)),
    12: (lambda x: whole(x._replace(p=0)), lambda x, i: x.s * (i - 1) + x.k),
    13: (whole, lambda x, i: x.s * (i - 1) + x.k - 2 * x.p),
    14: (fitting, lambda x, i: x.s * (i - 1) + x.a + x.k - 2 * x.p),
}


@pytest.mark.parametrize("number", TRANSPOSED)
@settings(max_examples=40, deadline=None)
@given(AXES)
def test_a_transposed_convolution_has_the_size_of_its_relationship(number, drawn):
    case, size = TRANSPOSED[number]
    axes = [case(axis._replace(d=1)) for axis in drawn]
    assert number == 14 or not any(axis.a for axis in axes)
    inputs = sizes(convolution(axes), [axis.i for axis in axes])
    expected = tuple(size(axis, i) for axis, i in zip(axes, inputs, strict=True))
    assert sizes(transposed(axes), list(inputs)) == expected == tuple(axis.i for axis in axes)


@settings(max_examples=15, deadline=None)
@given(AXES)
def test_a_transposed_convolution_is_the_gradient_of_the_convolution_that_it_belongs_to(drawn):
    """Relationship 14, of which 8 to 13 are cases, in values."""
    axes = [fitting(Axis(axis.i % 3, min(axis.k, 3), axis.s, min(axis.p, 2))) for axis in drawn]
    layer = transposed(axes, 2, 3, seed=0)
    forward = convolution(axes)
    forward.kernel, forward.bias = nnx.Param(jnp.swapaxes(layer.kernel[...], -1, -2)), None
    random = np.random.default_rng(0)
    u = random.standard_normal((2, *(axis.i for axis in axes), 3), dtype=np.float32)
    y, gradient = jax.vjp(forward, jnp.asarray(u))
    x = jnp.asarray(random.standard_normal(y.shape, dtype=np.float32))
    np.testing.assert_allclose(layer(x), gradient(x)[0], rtol=1e-4, atol=1e-5)


# Figures of the guide: number, the convolution (or the one that is transposed), and the sizes before and after.
@pytest.mark.parametrize(
    ("figure", "axis", "before", "after"),
    [
        ("2.1", Axis(4, 3), 4, 2),
        ("2.2", Axis(5, 4, 1, 2), 5, 6),
        ("2.3", Axis(5, 3, 1, 1), 5, 5),
        ("2.4", Axis(5, 3, 1, 2), 5, 7),
        ("2.5", Axis(5, 3, 2), 5, 2),
        ("2.6", Axis(5, 3, 2, 1), 5, 3),
        ("2.7", Axis(6, 3, 2, 1), 6, 3),
        ("4.1", Axis(4, 3), 2, 4),
        ("4.2", Axis(5, 4, 1, 2), 6, 5),
        ("4.3", Axis(5, 3, 1, 1), 5, 5),
        ("4.4", Axis(5, 3, 1, 2), 7, 5),
        ("4.5", Axis(5, 3, 2), 2, 5),
        ("4.6", Axis(5, 3, 2, 1), 3, 5),
        ("4.7", Axis(6, 3, 2, 1), 3, 6),
        ("5.1", Axis(7, 3, 1, 0, 2), 7, 3),
    ],
)
def test_the_figures_examples(figure, axis, before, after):
    layer = transposed([axis, axis]) if figure.startswith("4") else convolution([axis, axis])
    assert sizes(layer, [before, before]) == (after, after)


def test_the_figures_numbers():
    image = np.float32([[3, 3, 2, 1, 0], [0, 0, 1, 3, 1], [3, 1, 2, 2, 3], [2, 0, 0, 2, 2], [2, 0, 0, 0, 1]])
    x = jnp.asarray(image[None, ..., None])
    kernel = np.float32([[0, 1, 2], [2, 2, 0], [0, 1, 2]])
    for axis, expected in (
        (Axis(5, 3), [[12, 12, 17], [10, 17, 19], [9, 6, 14]]),  # figure 1.1
        (Axis(5, 3, 2, 1), [[6, 17, 3], [8, 17, 13], [6, 4, 4]]),  # 1.2
    ):
        layer = convolution([axis, axis])
        layer.kernel = nnx.Param(kernel[..., None, None])
        np.testing.assert_array_equal(layer(x)[0, ..., 0], expected)
    # 1.5 and 1.6
    means = AvgPool(3, axes=2, stride=1)(x)[0, ..., 0]
    shown = np.asarray(means, np.float64).round(1)
    np.testing.assert_array_equal(shown, [[1.7, 1.7, 1.7], [1.0, 1.2, 1.8], [1.1, 0.8, 1.3]])
    np.testing.assert_array_equal(MaxPool(3, axes=2, stride=1)(x)[0, ..., 0], [[3, 3, 3], [3, 3, 3], [3, 2, 3]])


def weights(layer: nnx.Module) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(layer, nnx.Param)))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_weights_are_counted_by_window_and_channels(axes):
    n, m, init = 6, 12, Initializer()
    window = (3, 2, 5)[:axes]
    k = math.prod(window)
    assert weights(Conv(n, m, window, axes=axes, init=init)) == n * m * k + m
    assert weights(Conv(n, m, window, axes=axes, bias=False, init=init)) == n * m * k
    assert weights(Conv(n, m, 1, axes=axes, init=init)) == weights(Dense(n, m, init=init)) == n * m + m
    assert weights(Conv(n, m, window, axes=axes, groups=3, init=init)) == n * m * k // 3 + m
    assert weights(ConvTranspose(n, m, window, axes=axes, init=init)) == n * m * k + m
    assert weights(ConvTranspose(n, m, window, axes=axes, groups=3, init=init)) == n * m * k // 3 + m
    assert weights(DepthwiseConv(n, m, window, axes=axes, init=init)) == m * k + m
    assert weights(SeparableConv(n, m, window, axes=axes, init=init)) == n * k + n * m + m
    along = n * m * window[0] + sum(m * m * size for size in window[1:])
    assert weights(SpatiallySeparableConv(n, m, window, axes=axes, init=init)) == along + m


@pytest.mark.parametrize("layer", [Conv, ConvTranspose])
def test_weights_know_nothing_of_stride_padding_and_dilation(layer):
    plain = weights(layer(4, 8, 3, axes=2, init=Initializer()))
    assert weights(layer(4, 8, 3, axes=2, stride=2, padding=1, dilation=2, init=Initializer())) == plain
