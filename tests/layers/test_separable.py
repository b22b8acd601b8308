"""Convolutions with fewer weights against plain ones: channel by channel, and axis by axis."""

import itertools
from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from flax import nnx

from cnnlab.layers.conv import Conv
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.separable import DepthwiseConv, SeparableConv, SpatiallySeparableConv
from cnnlab.layers.windows import ShapeError

CLOSE = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4)
ALL = [DepthwiseConv, SeparableConv, SpatiallySeparableConv]


def random(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def run(layer, x: np.ndarray) -> np.ndarray:
    return np.asarray(layer(jnp.asarray(x)))


def plain(kernel: np.ndarray, bias: np.ndarray | None = None, **settings) -> Conv:
    """The convolution with this kernel, [*window, in_features, features]."""
    *window, inputs, outputs = kernel.shape
    axes = len(window)
    layer = Conv(inputs, outputs, tuple(window), axes=axes, bias=bias is not None, init=Initializer(), **settings)
    layer.kernel = nnx.Param(jnp.asarray(kernel))
    if bias is not None:
        layer.bias[...] = bias
    return layer


SETTINGS = [
    {"kernel": (3, 2), "stride": 2, "dilation": (1, 2), "padding": 1},
    {"kernel": 3, "padding": "same", "padding_mode": "reflect"},
    {"kernel": (2, 3), "stride": (1, 2), "padding": ((0, 1), (2, 0)), "padding_mode": "circular"},
    {"kernel": 3, "stride": 2, "padding": "ceil", "padding_mode": "replicate"},
    {"kernel": (3, 1), "padding": "valid"},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_depthwise_convolution_sees_one_channel_each(settings):
    settings = dict(settings)
    layer = DepthwiseConv(2, 6, settings.pop("kernel"), axes=2, **settings, init=Initializer(0))
    kernel, bias = np.asarray(layer.kernel[...]), random((6,))
    layer.bias[...] = bias
    assert kernel.shape[-2:] == (1, 6)
    x = random((2, 6, 7, 2))
    y = run(layer, x)
    for channel, k in itertools.product(range(2), range(3)):
        out = 3 * channel + k
        one = plain(kernel[..., [out]], bias[[out]], **settings)
        CLOSE(y[..., out], run(one, x[..., [channel]])[..., 0])


def test_a_depthwise_convolution_is_scipys_correlation():
    layer = DepthwiseConv(3, None, (3, 5), axes=2, bias=False, init=Initializer(0))
    x, kernel = random((1, 6, 7, 3)), np.asarray(layer.kernel[...])
    for channel in range(3):
        expected = scipy.signal.correlate(x[0, ..., channel], kernel[..., 0, channel], "same")
        CLOSE(run(layer, x)[0, ..., channel], expected)


def test_a_depthwise_convolution_keeps_the_channels_unless_told_otherwise():
    assert run(DepthwiseConv(5, None, 3, axes=1, init=Initializer()), random((1, 4, 5))).shape == (1, 4, 5)
    with pytest.raises(ShapeError, match=r"^features 5 is no multiple of the 2 input channels$"):
        DepthwiseConv(2, 5, 3, axes=1, init=Initializer())


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_separable_convolution_is_depthwise_then_pointwise(settings):
    settings = dict(settings)
    layer = SeparableConv(3, 4, settings.pop("kernel"), axes=2, **settings, init=Initializer(0))
    bias = random((4,))
    layer.pointwise.bias[...] = bias
    assert layer.depthwise.bias is None
    assert SeparableConv(3, 4, 3, axes=2, bias=False, init=Initializer()).pointwise.bias is None
    # One kernel: the depthwise one's weight at a position and channel, times the mixing of that channel.
    spatial, mixing = np.asarray(layer.depthwise.kernel[...]), np.asarray(layer.pointwise.kernel[...])
    whole = np.einsum("hwc,cf->hwcf", spatial[:, :, 0], mixing[0, 0])
    x = random((2, 5, 6, 3), seed=1)
    CLOSE(run(layer, x), run(plain(whole, bias, **settings), x))


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_spatially_separable_convolution_has_the_outer_product_for_its_kernel(settings):
    settings = dict(settings)
    layer = SpatiallySeparableConv(2, 3, settings.pop("kernel"), axes=2, **settings, init=Initializer(0))
    bias = random((3,))
    assert layer.axis0.bias is None
    layer.axis1.bias[...] = bias
    columns, rows = np.asarray(layer.axis0.kernel[...]), np.asarray(layer.axis1.kernel[...])
    assert (columns.shape[1], rows.shape[0]) == (1, 1)
    whole = np.einsum("hcm,wmf->hwcf", columns[:, 0], rows[0])
    x = random((2, 6, 7, 2), seed=1)
    CLOSE(run(layer, x), run(plain(whole, bias, **settings), x))


def test_a_volume_is_convolved_along_three_axes_and_a_signal_along_one():
    layer = SpatiallySeparableConv(1, 2, (3, 1, 2), axes=3, stride=(1, 2, 1), bias=False, init=Initializer(0))
    kernels = [np.asarray(getattr(layer, f"axis{axis}").kernel[...]) for axis in range(3)]
    whole = np.einsum("dcm,hmn,wnf->dhwcf", kernels[0][:, 0, 0], kernels[1][0, :, 0], kernels[2][0, 0])
    x = random((1, 4, 5, 3, 1))
    CLOSE(run(layer, x), run(plain(whole, stride=(1, 2, 1)), x))
    one = SpatiallySeparableConv(2, 3, 3, axes=1, init=Initializer(0))
    x = random((2, 5, 2))
    CLOSE(run(one, x), run(plain(np.asarray(one.axis0.kernel[...])), x))


@pytest.mark.parametrize("layer", ALL)
def test_a_vector_is_refused(layer):
    with pytest.raises(ShapeError, match=r"^needs a map with spatial axes, and gets a vector of 4$"):
        run(layer(4, 4, 3, axes=0, init=Initializer()), random((2, 4)))


@pytest.mark.parametrize("what", ["kernel", "stride", "dilation"])
@pytest.mark.parametrize("layer", ALL)
def test_a_wrong_count_of_numbers_is_refused(layer, what):
    options = {"kernel": 3, what: (3, 3, 3)}
    with pytest.raises(ShapeError, match=rf"^{what} \[3, 3, 3\] has 3 numbers, and the map 2 spatial axes$"):
        layer(2, 2, axes=2, init=Initializer(), **options)


@pytest.mark.parametrize("layer", ALL)
def test_padding_for_other_axes_is_refused(layer):
    with pytest.raises(ShapeError, match=r"^padding \(\(1, 1\),\) does not fit a map of 2 spatial axes$"):
        run(layer(2, 2, 3, axes=2, padding=((1, 1),), init=Initializer()), random((1, 4, 4, 2)))
