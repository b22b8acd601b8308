"""Convolutions against NumPy loops, SciPy and their adjoints."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.layers.conv import Conv, ConvTranspose, Dense
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.windows import ShapeError

CLOSE = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4)
EXAMPLES = settings(max_examples=30, deadline=None)

# Per axis: size of the map, kernel, stride, dilation.
AXIS = st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2))
PAIR = st.tuples(st.integers(0, 2), st.integers(0, 2))


def random(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def run(layer, x: np.ndarray) -> np.ndarray:
    return np.asarray(layer(jnp.asarray(x)))


def same(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """The fewest zeros that give ceil(size / stride) positions, the odd one behind."""
    reach = (kernel - 1) * dilation + 1
    total = next(n for n in range(100) if size + n >= reach and (size + n - reach) // stride + 1 >= -(-size // stride))
    return total // 2, total - total // 2


def lacking(size: int, kernel: int, stride: int, dilation: int) -> int:
    """What a last window that begins on the map lacks at its end; nothing where even the first lacks a stride."""
    ends = [start + (kernel - 1) * dilation + 1 for start in range(0, size, stride)]
    over = next((end - size for end in ends if end >= size), 0)
    return over if over < stride else 0


def correlate(x, kernel, stride, dilation, padding, groups=1) -> np.ndarray:
    """Cross-correlation, position by position and group by group."""
    axes = x.ndim - 2
    x = np.pad(x.astype(np.float64), [(0, 0), *padding, (0, 0)])
    inputs, outputs = kernel.shape[-2], kernel.shape[-1] // groups
    sizes = [
        (n - (k - 1) * d - 1) // s + 1
        for n, k, s, d in zip(x.shape[1:-1], kernel.shape[:axes], stride, dilation, strict=True)
    ]
    y = np.zeros((x.shape[0], *sizes, kernel.shape[-1]))
    for batch, *place in np.ndindex(y.shape[:-1]):
        for offset in np.ndindex(kernel.shape[:axes]):
            at = tuple(i * s + a * d for i, s, a, d in zip(place, stride, offset, dilation, strict=True))
            for g in range(groups):
                seen = x[(batch, *at)][g * inputs : (g + 1) * inputs]
                y[(batch, *place)][g * outputs : (g + 1) * outputs] += (
                    seen @ kernel[offset][:, g * outputs : (g + 1) * outputs]
                )
    return y


def scatter(x, kernel, stride, dilation) -> np.ndarray:
    """The transpose of `correlate` without padding: every input position adds a weighted kernel to the output."""
    axes = x.ndim - 2
    sizes = [
        s * (n - 1) + (k - 1) * d + 1
        for n, k, s, d in zip(x.shape[1:-1], kernel.shape[:axes], stride, dilation, strict=True)
    ]
    y = np.zeros((x.shape[0], *sizes, kernel.shape[-1]))
    for batch, *place in np.ndindex(x.shape[:-1]):
        for offset in np.ndindex(kernel.shape[:axes]):
            at = tuple(i * s + a * d for i, s, a, d in zip(place, stride, offset, dilation, strict=True))
            y[(batch, *at)] += x[(batch, *place)].astype(np.float64) @ kernel[offset]
    return y


@st.composite
def settings_of_a_convolution(draw):
    axes = draw(st.lists(AXIS, min_size=1, max_size=3))
    words = st.sampled_from(["same", "valid", "ceil"])
    padding = draw(st.one_of(words, st.integers(0, 2), st.tuples(*[PAIR] * len(axes))))
    groups, inputs, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    return axes, padding, groups, groups * inputs, groups * outputs


def explicit(padding, axes) -> list[tuple[int, int]]:
    if padding == "same":
        return [same(*axis) for axis in axes]
    if padding == "valid":
        return [(0, 0)] * len(axes)
    if padding == "ceil":
        return [(0, lacking(*axis)) for axis in axes]
    return [(padding, padding)] * len(axes) if isinstance(padding, int) else list(padding)


@EXAMPLES
@given(settings_of_a_convolution())
def test_a_convolution_is_the_loop(drawn):
    axes, padding, groups, inputs, outputs = drawn
    space, kernel, stride, dilation = zip(*axes, strict=True)
    pairs = explicit(padding, axes)
    fits = all(n + low + high > (k - 1) * d for (n, k, _, d), (low, high) in zip(axes, pairs, strict=True))
    layer = Conv(
        inputs,
        outputs,
        kernel,
        axes=len(axes),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        init=Initializer(0),
    )
    layer.bias[...] = random((outputs,))
    x = random((2, *space, inputs), seed=1)
    if not fits:
        with pytest.raises(ShapeError, match="smaller than the window"):
            run(layer, x)
        return
    assert layer.kernel[...].shape == (*kernel, inputs // groups, outputs)
    expected = correlate(x, np.asarray(layer.kernel[...]), stride, dilation, pairs, groups)
    CLOSE(run(layer, x), expected + random((outputs,)))
    if padding == "same":
        assert expected.shape[1:-1] == tuple(-(-n // s) for n, s in zip(space, stride, strict=True))


@pytest.mark.parametrize(("padding", "mode"), [("valid", "valid"), ("same", "same"), (2, "full")])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_convolution_is_scipys_correlation(axes, padding, mode):
    layer = Conv(1, 1, 3, axes=axes, padding=padding, bias=False, init=Initializer(0))
    assert layer.bias is None
    x = random((1, *(5, 4, 6)[:axes], 1))
    expected = scipy.signal.correlate(x[0, ..., 0], np.asarray(layer.kernel[...])[..., 0, 0], mode)
    CLOSE(run(layer, x)[0, ..., 0], expected)


NUMPY = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@pytest.mark.parametrize("mode", NUMPY)
@pytest.mark.parametrize(
    ("space", "kernel", "stride", "dilation", "padding"),
    [
        ((7,), 3, 1, 1, "same"),
        ((7,), 4, 2, 1, "same"),
        ((5, 6), (3, 2), (2, 1), 1, 2),
        ((6, 5), 3, 1, 2, ((0, 3), (4, 1))),
        ((5, 4), 3, 3, 1, "ceil"),
        ((3, 4, 5), (1, 3, 2), 1, (1, 1, 3), "same"),
    ],
)
def test_beyond_the_border_stands_what_numpys_pad_puts_there(mode, space, kernel, stride, dilation, padding):
    axes = len(space)
    layer = Conv(
        2,
        4,
        kernel,
        axes=axes,
        stride=stride,
        padding=padding,
        padding_mode=mode,
        dilation=dilation,
        groups=2,
        bias=False,
        init=Initializer(0),
    )
    windows, strides, dilations = (np.broadcast_to(value, axes).tolist() for value in (kernel, stride, dilation))
    if padding == "ceil":
        pairs = [(0, 1), (0, 2)]  # of five a window of three after three lacks one, of four two
    else:
        pairs = explicit(padding, list(zip(space, windows, strides, dilations, strict=True)))
    x = random((2, *space, 2), seed=1)
    beyond = np.pad(x, [(0, 0), *pairs, (0, 0)], mode=NUMPY[mode])
    weights = np.asarray(layer.kernel[...])
    CLOSE(run(layer, x), correlate(beyond, weights, strides, dilations, [(0, 0)] * axes, groups=2))


def test_a_map_too_small_for_its_border_is_refused():
    with pytest.raises(ShapeError) as caught:
        run(Conv(1, 1, 7, axes=2, padding_mode="reflect", init=Initializer()), random((1, 3, 9, 1)))
    assert str(caught.value) == "the map is 3x9 here, too small for reflect padding ((3, 3), (3, 3))"


@pytest.mark.parametrize("padding", ["valid", 0])
def test_a_padding_mode_without_padding_is_refused(padding):
    with pytest.raises(ShapeError) as caught:
        Conv(1, 1, 3, axes=2, padding=padding, padding_mode="circular", init=Initializer())
    assert str(caught.value) == (
        f"padding {padding} has no border to fill by padding_mode circular; leave one of them out"
    )


TRANSPOSED = [  # size, kernel, stride, dilation, padding
    ((5,), 3, 2, 1, "same"),
    ((5,), 1, 3, 1, "same"),
    ((4,), 4, 2, 1, ((1, 0),)),
    ((3, 4), 3, 2, 1, "valid"),
    ((3, 4), (2, 4), (2, 1), 1, "same"),
    ((3, 2), 3, 1, 2, 1),
    ((3, 4), (3, 1), (3, 2), (2, 1), ((0, 2), (0, 0))),
    ((2, 3, 2), 2, 2, 1, "same"),
    ((2, 1, 2), (3, 2, 1), (1, 2, 3), (2, 1, 1), 0),
]


@pytest.mark.parametrize(("space", "kernel", "stride", "dilation", "padding"), TRANSPOSED)
def test_a_transposed_convolution_is_the_gradient_of_the_convolution(space, kernel, stride, dilation, padding):
    inputs, outputs, axes = 2, 3, len(space)
    layer = ConvTranspose(
        inputs,
        outputs,
        kernel,
        axes=axes,
        stride=stride,
        padding=padding,
        dilation=dilation,
        init=Initializer(0),
    )
    weights = np.asarray(layer.kernel[...])
    assert weights.shape == (*np.broadcast_to(kernel, axes), inputs, outputs)
    x, bias = random((2, *space, inputs)), random((outputs,), seed=1)
    layer.bias[...] = bias
    y = run(layer, x) - bias
    strides, dilations = (tuple(np.broadcast_to(value, axes)) for value in (stride, dilation))

    # Its values: the scattered kernels, of which the padding is cut off.
    sizes = [n * s for n, s in zip(space, strides, strict=True)] if padding == "same" else y.shape[1:-1]
    pairs = explicit(padding, list(zip(sizes, weights.shape[:axes], strides, dilations, strict=True)))
    whole = scatter(x, weights, strides, dilations)
    grown = np.pad(whole, [(0, 0), *[(0, s) for s in strides], (0, 0)])  # `same` may reach beyond the last kernel
    cut = [slice(low, low + n) for (low, _), n in zip(pairs, y.shape[1:-1], strict=True)]
    CLOSE(y, grown[(slice(None), *cut)])
    if padding == "same":
        assert list(y.shape[1:-1]) == sizes
    else:
        for n, full, (low, high) in zip(y.shape[1:-1], whole.shape[1:-1], pairs, strict=True):
            assert n == full - low - high

    # Its meaning: <conv(u), x> = <u, transposed(x)> for the convolution that has the same kernel and padding.
    u = random(y.shape, seed=2)
    convolved = correlate(u, weights.swapaxes(-1, -2), strides, dilations, pairs)
    assert convolved.shape == x.shape
    CLOSE(np.vdot(convolved, x), np.vdot(u, y), rtol=1e-4)


@pytest.mark.parametrize("layer", [Conv, ConvTranspose])
def test_a_vector_is_refused(layer):
    with pytest.raises(ShapeError, match=r"^needs a map with spatial axes, and gets a vector of 4$"):
        run(layer(4, 4, 3, axes=0, init=Initializer()), random((2, 4)))


def test_dense_is_an_affine_map():
    layer = Dense(3, 2, init=Initializer(0))
    layer.bias[...] = np.float32([1, -2])
    x, kernel = random((4, 3)), np.asarray(layer.kernel[...])
    expected = [[sum(row[i] * kernel[i, j] for i in range(3)) + (1, -2)[j] for j in range(2)] for row in x]
    CLOSE(run(layer, x), expected)
    without = Dense(3, 2, bias=False, init=Initializer(0))
    assert without.bias is None
    CLOSE(run(without, x), x @ np.asarray(without.kernel[...]))


def test_dense_on_a_map_is_refused_with_the_way_out():
    with pytest.raises(ShapeError) as caught:
        run(Dense(4, 2, init=Initializer()), random((2, 5, 6, 4)))
    assert str(caught.value) == ("takes a vector, and the map is 5x6x4 here; put flatten or global_avg_pool before it")


@pytest.mark.parametrize(
    ("inputs", "outputs", "sentence"),
    [(4, 6, "3 groups do not divide the 4 input channels"), (6, 4, "3 groups do not divide the 4 output channels")],
)
def test_groups_that_do_not_divide_are_refused(inputs, outputs, sentence):
    with pytest.raises(ShapeError, match=f"^{sentence}$"):
        Conv(inputs, outputs, 3, axes=2, groups=3, init=Initializer())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"padding": "valid"}, "the map is 2x2 here, smaller than the window 5x5"),
        ({"padding": 1}, "the map is 2x2 here with its padding, smaller than the window 5x5"),
        (
            {"padding": 2, "dilation": 2},
            "the map is 2x2 here with its padding, smaller than the window 5x5 dilated to 9x9",
        ),
    ],
)
def test_a_window_larger_than_the_map_is_refused(options, sentence):
    with pytest.raises(ShapeError, match=f"^{sentence}$"):
        run(Conv(1, 1, 5, axes=2, init=Initializer(), **options), random((1, 2, 2, 1)))


@pytest.mark.parametrize("what", ["kernel", "stride", "dilation"])
@pytest.mark.parametrize("layer", [Conv, ConvTranspose])
def test_a_wrong_count_of_numbers_is_refused(layer, what):
    options = {"kernel": 3, what: (3, 3, 3)}
    with pytest.raises(ShapeError, match=rf"^{what} \[3, 3, 3\] has 3 numbers, and the map 2 spatial axes$"):
        layer(2, 2, axes=2, init=Initializer(), **options)


def test_a_transposed_convolution_has_nothing_to_round_up():
    layer = ConvTranspose(1, 1, 3, axes=2, stride=2, padding="ceil", init=Initializer())
    with pytest.raises(ShapeError) as caught:
        run(layer, random((1, 4, 4, 1)))
    assert str(caught.value) == "padding cannot be ceil in a transposed convolution; say same, valid or numbers"


def test_a_transposed_convolution_whose_padding_cuts_everything_away_is_refused():
    layer = ConvTranspose(1, 1, 3, axes=2, padding=2, init=Initializer())
    assert run(layer, random((1, 3, 3, 1))).shape == (1, 1, 1, 1)
    with pytest.raises(ShapeError, match=r"^the map is 2x3 here, and its padding cuts all of the output away$"):
        run(layer, random((1, 2, 3, 1)))


def test_a_grouped_transposed_convolution_is_one_for_each_group_of_channels():
    layer = ConvTranspose(4, 6, 3, axes=2, stride=2, groups=2, init=Initializer(0))
    x, kernel = random((2, 3, 4, 4)), np.asarray(layer.kernel[...])
    assert kernel.shape == (3, 3, 2, 6)
    halves = []
    for group in range(2):
        half = ConvTranspose(2, 3, 3, axes=2, stride=2, init=Initializer(0))
        half.kernel[...] = kernel[..., 3 * group : 3 * group + 3]
        halves.append(run(half, x[..., 2 * group : 2 * group + 2]))
    CLOSE(run(layer, x), np.concatenate(halves, -1))
