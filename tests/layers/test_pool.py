"""Pooling against loops over the positions that lie inside the map, and its gradients."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.kernels import lowering
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.pool import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AvgPool,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool,
    SpatialPyramidPool,
    adaptive_windows,
)
from cnnlab.layers.windows import ShapeError

CLOSE = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
AXIS = st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(0, 2))


def same(size: int, window: int, stride: int) -> tuple[int, int]:
    total = next(
        n for n in range(100) if size + n >= window and (size + n - window) // stride + 1 >= -(-size // stride)
    )
    return total // 2, total - total // 2


def pooled(x: np.ndarray, window, stride, padding, function) -> np.ndarray:
    """`function` of what each window sees of the map itself."""
    sizes = [
        (n + low + high - k) // s + 1
        for n, k, s, (low, high) in zip(x.shape[1:-1], window, stride, padding, strict=True)
    ]
    y = np.zeros((x.shape[0], *sizes, x.shape[-1]))
    for place in np.ndindex(*sizes):
        starts = [i * s - low for i, s, (low, _) in zip(place, stride, padding, strict=True)]
        seen = [slice(max(start, 0), max(start + k, 0)) for start, k in zip(starts, window, strict=True)]
        part = x[(slice(None), *seen)].astype(np.float64).reshape(x.shape[0], -1, x.shape[-1])
        y[(slice(None), *place)] = function(part, axis=1)
    return y


def lacking(size: int, window: int, stride: int) -> tuple[int, int]:
    """What a last window that begins on the map lacks at its end; nothing where even the first lacks a stride."""
    over = next((start + window - size for start in range(0, size, stride) if start + window >= size), 0)
    return 0, over if over < stride else 0


@settings(max_examples=30, deadline=None)
@given(st.lists(AXIS, min_size=1, max_size=3), st.sampled_from(["same", "valid", "ceil", "pairs"]))
def test_pooling_is_the_loop_over_what_lies_inside(axes, kind):
    space, window, stride, before, after = zip(*axes, strict=True)
    before, after = (tuple(np.minimum(numbers, np.array(window) - 1).tolist()) for numbers in (before, after))
    pairs = {
        "same": [same(*axis[:3]) for axis in axes],
        "valid": [(0, 0)] * len(axes),
        "ceil": [lacking(*axis[:3]) for axis in axes],
        "pairs": list(zip(before, after, strict=True)),
    }[kind]
    padding = tuple(pairs) if kind == "pairs" else kind
    # Below zero throughout, so that a padded zero would win a maximum and lift an average.
    x = np.random.default_rng(0).standard_normal((2, *space, 3), dtype=np.float32) - 6
    layers = [cls(window, axes=len(axes), stride=stride, padding=padding) for cls in (MaxPool, AvgPool)]
    if any(n + low + high < k for n, k, (low, high) in zip(space, window, pairs, strict=True)):
        for layer in layers:
            with pytest.raises(ShapeError, match="smaller than the window"):
                layer(jnp.asarray(x))
        return
    largest, mean = jax.jit(lambda x: [layer(x) for layer in layers])(x)
    CLOSE(largest, pooled(x, window, stride, pairs, np.max))
    CLOSE(mean, pooled(x, window, stride, pairs, np.mean))
    if kind == "same":
        assert largest.shape[1:-1] == tuple(-(-n // s) for n, s in zip(space, stride, strict=True))


def test_ceil_leaves_no_position_of_the_map_out_where_windows_touch():
    x = jnp.arange(1.0, 9.0).reshape(1, 8, 1)
    np.testing.assert_array_equal(MaxPool(3, axes=1, stride=2, padding="ceil")(x)[0, :, 0], [3, 5, 7, 8])
    np.testing.assert_array_equal(AvgPool(3, axes=1, stride=2, padding="ceil")(x)[0, :, 0], [2, 4, 6, 7.5])
    # A window that would begin behind the map does not count: after the first and fourth position comes the seventh.
    np.testing.assert_array_equal(MaxPool(1, axes=1, stride=4, padding="ceil")(x)[0, :, 0], [1, 5])


@pytest.mark.parametrize("layer", [MaxPool, AvgPool])
def test_the_stride_is_the_window_unless_told_otherwise(layer):
    assert layer((2, 3), axes=2)(jnp.ones((1, 6, 6, 1))).shape == (1, 3, 2, 1)
    assert layer(3, axes=2, stride=(1, 2), padding=1)(jnp.ones((1, 6, 6, 1))).shape == (1, 6, 3, 1)


@pytest.mark.parametrize(
    ("window", "stride", "padding"), [(2, 2, "valid"), (3, 2, 1), (3, 1, "same"), ((2, 3), (1, 3), ((1, 0), (0, 2)))]
)
def test_the_gradient_of_a_maximum_goes_to_the_largest(window, stride, padding):
    rng = np.random.default_rng(0)
    x = rng.permutation(2 * 5 * 6 * 2).reshape(2, 5, 6, 2).astype(np.float32)  # no ties, 1 apart
    layer = MaxPool(window, axes=2, stride=stride, padding=padding)
    shape = jax.eval_shape(layer, jnp.asarray(x)).shape
    weights = rng.integers(1, 9, shape).astype(np.float32)

    def weighted(x):
        return (layer(x) * weights).sum()

    # Piecewise linear: half a step to either side changes no winner, so the difference is exact.
    forward = jax.jit(weighted)
    step = np.float32(0.25)
    places = [tuple(place) for place in rng.integers((2, 5, 6, 2), size=(25, 4))]
    gradient = np.asarray(jax.jit(jax.grad(weighted))(x))
    for place in places:
        bump = np.zeros_like(x)
        bump[place] = step
        difference = (float(forward(x + bump)) - float(forward(x - bump))) / (2 * step)
        assert gradient[place] == pytest.approx(difference, abs=0.1)  # all are whole numbers
    assert gradient.sum() == pytest.approx(weights.sum())
    assert np.count_nonzero(gradient) <= weights.size


@pytest.fixture
def no_kernels():
    """As on a machine without them."""
    with lowering.switched(False):
        yield


@pytest.mark.usefixtures("no_kernels")
def test_without_kernels_the_gradient_of_a_maximum_is_shared_among_ties():
    gradient = jax.grad(lambda x: MaxPool(2, axes=2)(x).sum())
    x = np.zeros((1, 2, 4, 1), np.float32)
    x[0, 0, 2, 0] = x[0, 1, 3, 0] = 1  # the second window: two of four are the largest
    np.testing.assert_array_equal(gradient(jnp.asarray(x))[0, ..., 0], [[0.25, 0.25, 0.5, 0], [0.25, 0.25, 0, 0.5]])


@pytest.mark.usefixtures("no_kernels")
def test_a_tie_of_three_still_shares_one_whole_gradient():
    gradient = jax.grad(lambda x: MaxPool(3, axes=1, padding="same")(x).sum())(jnp.zeros((1, 3, 1)))
    assert (np.asarray(gradient) > 0).all()
    assert float(gradient.sum()) == 1


@pytest.mark.parametrize("mode", [EVALUATION, Mode(train=True)])
def test_the_gradient_of_an_average_is_its_share(mode):
    gradient = jax.grad(lambda x: AvgPool(2, axes=1, stride=1, padding=1)(x, mode).sum())(jnp.ones((1, 3, 1)))
    # Windows see {0}, {0, 1}, {1, 2}, {2}: a padded position takes no share.
    np.testing.assert_allclose(gradient[0, :, 0], [1.5, 1, 1.5])


@pytest.mark.parametrize("padding", [0, 1])
def test_an_average_of_bfloat16_is_rounded_once(padding):
    x = jnp.asarray(np.random.default_rng(0).uniform(0, 9, (2, 9, 9, 5)), jnp.bfloat16)
    layer = AvgPool(3, axes=2, stride=2, padding=padding)
    found = jax.jit(layer)(x)
    assert found.dtype == jnp.bfloat16
    exact = layer(x.astype(jnp.float32))
    np.testing.assert_allclose(found.astype(jnp.float32), exact, rtol=2**-8)
    np.testing.assert_array_equal(found, exact.astype(jnp.bfloat16))


@pytest.mark.parametrize("space", [(7,), (3, 4), (2, 3, 4)])
def test_global_pooling_leaves_a_vector(space):
    x = np.random.default_rng(0).standard_normal((2, *space, 3), dtype=np.float32)
    flat = x.reshape(2, -1, 3).astype(np.float64)
    for mode in (EVALUATION, Mode(train=True)):
        CLOSE(GlobalAvgPool()(jnp.asarray(x), mode), flat.mean(1))
        gradient = jax.grad(lambda x, mode=mode: GlobalAvgPool()(x, mode).sum())(jnp.asarray(x))
        CLOSE(gradient, np.full(x.shape, 1 / flat.shape[1]))
    CLOSE(GlobalMaxPool()(jnp.asarray(x)), flat.max(1))


@pytest.mark.parametrize(
    "layer",
    [
        GlobalAvgPool(),
        GlobalMaxPool(),
        MaxPool(2, axes=1),
        AvgPool(2, axes=1),
        AdaptiveMaxPool(2, axes=1),
        AdaptiveAvgPool(2, axes=1),
        SpatialPyramidPool((1,), axes=1),
    ],
    ids=lambda x: type(x).__name__,
)
def test_a_vector_is_refused(layer):
    with pytest.raises(ShapeError, match=r"^needs a map with spatial axes, and gets a vector of 64$"):
        layer(jnp.ones((1, 64)))


@pytest.mark.parametrize("layer", [MaxPool, AvgPool])
def test_a_window_of_nothing_but_padding_is_refused(layer):
    x = jnp.ones((1, 4, 4, 1))
    for padding in (2, ((0, 0), (0, 3))):
        with pytest.raises(ShapeError, match=r"^padding .* is as large as the window 2x2"):
            layer(2, axes=2, padding=padding)(x)
    assert np.isfinite(layer(2, axes=2, padding=1)(x)).all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"window": 3}, "the map is 2x1 here, smaller than the window 3x3"),
        ({"window": (2, 4), "padding": 1}, "the map is 2x1 here with its padding, smaller than the window 2x4"),
    ],
)
def test_a_window_larger_than_the_map_is_refused(options, sentence):
    with pytest.raises(ShapeError, match=f"^{sentence}$"):
        MaxPool(axes=2, **options)(jnp.ones((1, 2, 1, 1)))


@pytest.mark.parametrize("what", ["window", "stride"])
def test_a_wrong_count_of_numbers_is_refused(what):
    options = {"window": 2, what: (2, 2)}
    with pytest.raises(ShapeError, match=rf"^{what} \[2, 2\] has 2 numbers, and the map 3 spatial axes$"):
        AvgPool(axes=3, **options)


# ---------------------------------------------------------------- adaptive


def adapted(x: np.ndarray, output: tuple[int, ...], function) -> np.ndarray:
    """Window i sees the positions from floor(i n / m) up to and without ceil((i + 1) n / m), as torch's does."""
    y = np.zeros((x.shape[0], *output, x.shape[-1]))
    for place in np.ndindex(*output):
        seen = [
            [j for j in range(n) if np.floor(i * n / m) <= j < np.ceil((i + 1) * n / m)]
            for i, n, m in zip(place, x.shape[1:-1], output, strict=True)
        ]
        part = x[np.ix_(range(len(x)), *seen)].astype(np.float64).reshape(len(x), -1, x.shape[-1])
        y[(slice(None), *place)] = function(part, axis=1)
    return y


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=2))
def test_adaptive_pooling_is_the_loop_over_torchs_windows(axes):
    space, output = zip(*axes, strict=True)
    x = np.random.default_rng(0).standard_normal((2, *space, 3), dtype=np.float32)
    layers = [AdaptiveMaxPool(output, axes=len(axes)), AdaptiveAvgPool(output, axes=len(axes))]
    largest, mean = jax.jit(lambda x: [layer(x) for layer in layers])(x)
    CLOSE(largest, adapted(x, output, np.max))
    CLOSE(mean, adapted(x, output, np.mean))


@pytest.mark.parametrize(
    ("size", "output", "windows"),  # as the documentation of torch.nn.AdaptiveAvgPool1d leads to
    [
        (8, 5, [(0, 2), (1, 4), (3, 5), (4, 7), (6, 8)]),
        (6, 3, [(0, 2), (2, 4), (4, 6)]),
        (7, 1, [(0, 7)]),
        (2, 3, [(0, 1), (0, 2), (1, 2)]),
    ],
)
def test_adaptive_windows_overlap_where_the_division_leaves_a_rest(size, output, windows):
    assert adaptive_windows(size, output) == [range(*window) for window in windows]


def test_an_adaptive_pool_to_one_position_is_the_global_one_and_to_every_one_the_identity():
    x = np.random.default_rng(0).standard_normal((2, 5, 4, 3), dtype=np.float32)
    CLOSE(AdaptiveMaxPool(1, axes=2)(jnp.asarray(x))[:, 0, 0], GlobalMaxPool()(jnp.asarray(x)))
    CLOSE(AdaptiveAvgPool(1, axes=2)(jnp.asarray(x))[:, 0, 0], GlobalAvgPool()(jnp.asarray(x)))
    np.testing.assert_array_equal(AdaptiveMaxPool((5, 4), axes=2)(jnp.asarray(x)), x)


@pytest.mark.parametrize(("method", "function"), [("max", np.max), ("avg", np.mean)])
@pytest.mark.parametrize("space", [(6,), (4, 5), (4, 3, 6)])
def test_a_pyramid_is_its_levels_side_by_side(method, function, space):
    x = np.random.default_rng(0).standard_normal((2, *space, 3), dtype=np.float32)
    y = jax.jit(SpatialPyramidPool((3, 1, 2), axes=len(space), method=method))(x)
    levels = [adapted(x, (level,) * len(space), function).reshape(2, -1) for level in (3, 1, 2)]
    CLOSE(y, np.concatenate(levels, 1))


@pytest.mark.parametrize("space", [(4, 4), (5, 9), (31, 17)])
def test_a_pyramids_length_knows_nothing_of_the_map(space):
    layer = SpatialPyramidPool((1, 2, 4), axes=2)
    shape = jax.eval_shape(layer, jax.ShapeDtypeStruct((2, *space, 10), jnp.float32)).shape
    assert shape == (2, (1 + 4 + 16) * 10)


def test_a_map_smaller_than_the_finest_level_is_refused():
    with pytest.raises(ShapeError, match=r"^the map is 3x5 here, smaller than the finest level 4$"):
        SpatialPyramidPool((1, 4, 2), axes=2)(jnp.ones((1, 3, 5, 1)))


def test_a_size_for_other_axes_is_refused():
    with pytest.raises(ShapeError, match=r"^size \[2, 2\] has 2 numbers, and the map 3 spatial axes$"):
        AdaptiveMaxPool((2, 2), axes=3)
