"""Max-pooling by the kernels beside XLA's own and a loop in NumPy, and what is left to XLA."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnlab.kernels import lowering, pooling
from cnnlab.layers.pool import MaxPool

pytestmark = pytest.mark.usefixtures("pools")
AXIS = st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), st.integers(0, 3), st.integers(0, 3))
WHOLE = ((0, 0), (0, 0), (0, 0), (0, 0))


@pytest.fixture
def pools(in_use):
    from cnnlab.kernels import build

    pooling.install(build.load())


def pool(x, window, stride, padding):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, stride, padding)


def both(function, ours=True):
    """`function`'s value and gradient, compiled with the kernels or without, and how many of them are in there."""

    def run(x, dy):
        y, pull = jax.vjp(lambda x: function(x), x)
        return y, *pull(dy)

    def compiled(x, dy):
        with lowering.switched(ours):
            lowered = jax.jit(run).lower(x, dy)
        return lowered.as_text().count("custom_call @cnnlab_max_pool"), *lowered.compile()(x, dy)

    return compiled


def looped(x: np.ndarray, dy: np.ndarray, window, stride, padding) -> tuple[np.ndarray, np.ndarray]:
    """Maxima, and their gradient to the first maximum of each window, of which padding is no part."""
    y, dx = np.zeros_like(dy), np.zeros_like(x)
    for place in np.ndindex(*dy.shape):
        starts = [o * s - low for o, s, (low, _) in zip(place, stride, padding, strict=True)]
        ranges = [range(max(a, 0), min(a + k, n)) for a, k, n in zip(starts, window, x.shape, strict=True)]
        seen = x[np.ix_(*ranges)]
        first = np.unravel_index(np.argmax(seen), seen.shape)
        at = tuple(r[i] for r, i in zip(ranges, first, strict=True))
        y[place] = x[at]
        dx[at] += dy[place]
    return y, dx


def same(found, wanted):
    np.testing.assert_array_equal(np.asarray(found, np.float32), np.asarray(wanted, np.float32))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(AXIS, min_size=1, max_size=3),
    st.integers(1, 4),
    st.sampled_from([1, 2, 3, 4, 6, 15, 16, 17, 33]),
    st.booleans(),
    st.sampled_from(["float32", "bfloat16"]),
)
def test_it_is_the_loop_and_xlas_own_to_the_bit(axes, batch, channels, ties, dtype):
    space, window, stride, before, after = zip(*axes, strict=True)
    pads = [(min(a, k - 1), min(b, k - 1)) for k, a, b in zip(window, before, after, strict=True)]
    space = tuple(max(n, k - a - b) for n, k, (a, b) in zip(space, window, pads, strict=True))
    if all((k, s) == (1, 1) for k, s in zip(window, stride, strict=True)):
        stride = (2, *stride[1:])
    numbers = (1, *window, 1), (1, *stride, 1), ((0, 0), *pads, (0, 0))
    random = np.random.default_rng(0)
    shape = (batch, *space, channels)
    x = jnp.asarray(random.integers(-2, 2, shape) if ties else random.standard_normal(shape), dtype)
    f = partial(pool, window=numbers[0], stride=numbers[1], padding=numbers[2])
    # Whole numbers, whose sums no order and no rounding to bfloat16 changes.
    dy = jnp.asarray(random.integers(-3, 4, jax.eval_shape(f, x).shape), dtype)
    taken, y, dx = both(f)(x, dy)
    assert taken == 2
    assert y.dtype == dx.dtype == dtype
    for found, wanted, own in zip(
        (y, dx), looped(*map(np.asarray, (x, dy)), *numbers), both(f, ours=False)(x, dy)[1:], strict=True
    ):
        same(found, wanted)
        same(found, own)


@pytest.mark.parametrize("window", [2, 3, 5])
def test_sums_of_any_numbers_are_xlas_to_the_bit(window):
    random = np.random.default_rng(1)
    x = jnp.asarray(random.integers(0, 9, (3, 14, 15, 20)), jnp.float32)
    padding = ((0, 0), (window // 2,) * 2, (window // 2,) * 2, (0, 0))
    f = partial(pool, window=(1, window, window, 1), stride=(1, 2, 2, 1), padding=padding)
    dy = random.standard_normal(jax.eval_shape(f, x).shape, dtype=np.float32)
    taken, *ours = both(f)(x, dy)
    assert taken == 2
    for found, own in zip(ours, both(f, ours=False)(x, dy)[1:], strict=True):
        same(found, own)
    assert np.asarray(ours[1], np.float64).sum() == pytest.approx(dy.astype(np.float64).sum(), rel=1e-4)


@pytest.mark.parametrize("stride", [2, 3])  # of windows that overlap, and of windows that do not
def test_a_gradient_larger_than_the_caches(stride):
    """Of 17 MB: it is written past them."""
    x = np.random.default_rng(7).standard_normal((4, 182, 182, 32), dtype=np.float32)
    layer = MaxPool(3, axes=2, stride=stride)
    dy = np.random.default_rng(8).integers(-3, 4, jax.eval_shape(layer, jnp.asarray(x)).shape).astype(np.float32)
    f = partial(pool, window=(1, 3, 3, 1), stride=(1, stride, stride, 1), padding=WHOLE)
    same(both(f)(x, dy)[2], both(f, ours=False)(x, dy)[2])


def test_a_bfloat16_gradient_is_the_float32_one_rounded_once():
    random = np.random.default_rng(2)
    x = jnp.asarray(random.standard_normal((2, 9, 9, 24)), jnp.bfloat16)
    f = MaxPool(3, axes=2, stride=1, padding=1)
    dy = jnp.asarray(random.standard_normal((2, 9, 9, 24)), jnp.bfloat16)
    _, _, dx = both(f)(x, dy)
    _, _, exact = both(f)(x.astype(jnp.float32), dy.astype(jnp.float32))
    same(dx, exact.astype(jnp.bfloat16))


@pytest.mark.parametrize("channels", [1, 5, 16])
@pytest.mark.parametrize(
    ("row", "maximum", "chosen"),
    [
        ([1, 1, 1], 1, 0),
        ([0, 2, 2], 2, 1),
        ([-np.inf] * 3, -np.inf, 0),
        ([np.nan, 1, 2], np.nan, 2),
        ([np.nan, 2, 1], np.nan, 1),
        ([9, np.nan, 2], np.nan, 2),
        ([2, 1, np.nan], np.nan, 2),
        ([np.nan] * 3, np.nan, 2),
        ([-np.nan, np.inf, np.inf], np.nan, 1),
    ],
)
@pytest.mark.parametrize("stride", [1, 3])  # of windows that overlap, and of windows that do not
def test_ties_and_nan_are_chosen_as_by_xla(row, maximum, chosen, channels, stride):
    f = MaxPool(3, axes=1, stride=stride)
    x = jnp.asarray(np.tile(np.float32(row)[None, :, None], (1, 1, channels)))
    for dtype in (jnp.float32, jnp.bfloat16):
        taken, y, dx = both(f)(x.astype(dtype), jnp.full((1, 1, channels), 3, dtype))
        assert taken == 2
        same(y, np.full(y.shape, maximum))
        same(dx[0], np.tile(np.eye(3)[chosen][:, None] * 3, (1, channels)))
    g = partial(pool, window=(1, 3, 1), stride=(1, stride, 1), padding=((0, 0),) * 3)
    for found, own in zip(
        (y, dx), both(g, ours=False)(x.astype(dtype), jnp.full((1, 1, channels), 3, dtype))[1:], strict=True
    ):
        same(found, own)


@pytest.mark.parametrize(("window", "stride"), [(2, 2), (3, 3), (2, 3), (1, 4)])
@pytest.mark.parametrize("space", [(7,), (5, 8), (4, 7, 5)])
def test_positions_that_no_window_sees_have_no_gradient(space, window, stride):
    x = np.random.default_rng(6).standard_normal((2, *space, 3), dtype=np.float32)
    f = MaxPool(window, axes=len(space), stride=stride)
    dy = np.ones(jax.eval_shape(f, jnp.asarray(x)).shape, np.float32)
    axes = len(space)
    numbers = (1, *[window] * axes, 1), (1, *[stride] * axes, 1), ((0, 0),) * (axes + 2)
    _, dx = looped(x, dy, *numbers)
    same(both(f)(jnp.asarray(x), dy)[2], dx)


def test_it_works_under_vmap_remat_and_scan():
    random = np.random.default_rng(3)
    x = jnp.asarray(random.integers(0, 9, (3, 2, 8, 8, 5)), jnp.float32)
    layer = MaxPool(3, axes=2, stride=2, padding=1)
    dy = jnp.asarray(random.standard_normal((3, 2, 4, 4, 5)), jnp.float32)
    wanted = [both(layer)(part, g) for part, g in zip(x, dy, strict=True)]
    forms = {
        "vmap": jax.vmap(layer),
        "remat": jax.vmap(jax.checkpoint(lambda x: layer(x))),
        "scan": lambda x: jax.lax.map(layer, x),
    }
    for name, form in forms.items():
        taken, y, dx = both(form)(x, dy)
        assert taken >= 2, name
        same(y, [w[1] for w in wanted])
        same(dx, [w[2] for w in wanted])


def test_the_same_bits_come_again():
    random = np.random.default_rng(4)
    x = jnp.asarray(random.standard_normal((3, 60, 60, 40)), jnp.float32)
    dy = jnp.asarray(random.standard_normal((3, 30, 30, 40)), jnp.float32)
    with lowering.switched(True):
        f = jax.jit(lambda x, dy: jax.vjp(MaxPool(3, axes=2, stride=2, padding=1), x)[1](dy)[0])
        first = np.asarray(f(x, dy)).tobytes()
        assert all(np.asarray(f(x, dy)).tobytes() == first for _ in range(20))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: pool(x.astype(jnp.float16), (1, 2, 2, 1), (1, 2, 2, 1), WHOLE),
        lambda x: pool(x, (1, 1, 2, 2), (1, 1, 2, 2), WHOLE),  # over what lies last
        lambda x: pool(x, (1, 2, 2, 1), (1, 2, 2, 1), ((0, 0), (2, 0), (0, 0), (0, 0))),  # a window of padding alone
        lambda x: pool(x, (1, 2, 2, 1), (1, 2, 2, 1), ((0, 0), (-1, 0), (0, 0), (0, 0))),
        lambda x: pool(x, (1, 1, 1, 1), (1, 1, 1, 1), WHOLE),
        lambda x: jax.lax.reduce_window(
            x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 1, 1, 1), WHOLE, window_dilation=(1, 2, 1, 1)
        ),
        lambda x: jax.lax.reduce_window(
            x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 1, 1, 1), WHOLE, base_dilation=(1, 2, 1, 1)
        ),
        lambda x: jax.lax.reduce_window(x, jnp.inf, jax.lax.min, (1, 2, 2, 1), (1, 2, 2, 1), WHOLE),
        lambda x: pool(x[:0], (1, 2, 2, 1), (1, 2, 2, 1), WHOLE),
    ],
    ids=[
        "float16",
        "channels",
        "padding",
        "cropping",
        "nothing",
        "window dilation",
        "base dilation",
        "minimum",
        "empty",
    ],
)
def test_the_rest_is_xlas(call):
    x = jnp.asarray(np.random.default_rng(5).standard_normal((2, 6, 6, 4)), jnp.float32)
    results = []
    for on in (True, False):
        with lowering.switched(on):
            lowered = jax.jit(lambda x: call(x)).lower(x)
        assert "cnnlab_max_pool" not in lowered.as_text()
        results.append(lowered.compile()(x))
    same(*results)


def test_a_minimums_gradient_is_xlas():
    def f(x):
        return jax.lax.reduce_window(x, jnp.inf, jax.lax.min, (1, 2, 2, 1), (1, 2, 2, 1), WHOLE)

    x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    taken, _, dx = both(f)(x, jnp.ones((1, 2, 2, 1)))
    assert taken == 0
    same(np.flatnonzero(dx), [0, 2, 8, 10])


def test_an_exported_program_knows_no_kernel():
    exported = jax.export.export(jax.jit(MaxPool(2, axes=2)))(jax.ShapeDtypeStruct((1, 4, 4, 2), jnp.float32))
    assert "cnnlab_max_pool" not in exported.mlir_module()


def test_the_layer_asks_for_what_is_fast():
    x = jnp.ones((1, 4, 4, 2))
    for on, primitive in ((True, "reduce_window_max"), (False, " max ")):
        with lowering.switched(on):
            assert primitive in str(jax.make_jaxpr(lambda x: MaxPool(2, axes=2)(x))(x))
            assert pooling.reduce_window_is_fast(np.dtype("float32")) is on
    assert not pooling.reduce_window_is_fast(np.dtype("float64"))
