"""Average pooling by the kernel beside a loop in NumPy and the plain form, and what is left to that."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnlab.kernels import lowering
from cnnlab.kernels.average_pool import average_pool, plain

pytestmark = pytest.mark.usefixtures("in_use")
TARGET = "custom_call @cnnlab_average_pool"
AXIS = st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), st.integers(0, 3), st.integers(0, 3))


def both(x, dy, window, stride, pads, ours=True):
    """How many kernels there are in the compiled function; the means, and the gradient for that of them, `dy`."""

    def run(x, dy):
        y, pull = jax.vjp(lambda x: average_pool(x, window, stride, pads), x)
        return y, *pull(dy)

    with lowering.switched(ours):
        lowered = jax.jit(run).lower(x, dy)
    return lowered.as_text().count(TARGET), *lowered.compile()(x, dy)


def looped(x, dy, window, stride, pads):
    y, dx = np.zeros(dy.shape), np.zeros(x.shape)
    for place in np.ndindex(*dy.shape[1:-1]):
        starts = [o * s - low for o, s, (low, _) in zip(place, stride, pads, strict=True)]
        inside = tuple(slice(max(a, 0), min(a + k, n)) for a, k, n in zip(starts, window, x.shape[1:-1], strict=True))
        seen = x[:, *inside]
        axes = tuple(range(1, x.ndim - 1))
        y[:, *place] = seen.mean(axes)
        dx[:, *inside] += np.expand_dims(dy[:, *place], axes) / np.prod(seen.shape[1:-1])
    return y, dx


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(AXIS, min_size=1, max_size=3),
    st.integers(1, 4),
    st.sampled_from([1, 2, 3, 4, 6, 15, 16, 17, 33]),
    st.sampled_from(["float32", "bfloat16"]),
)
def test_it_is_the_loop_and_the_plain_form(axes, batch, channels, dtype):
    space, window, stride, before, after = zip(*axes, strict=True)
    pads = tuple((min(a, k - 1), min(b, k - 1)) for k, a, b in zip(window, before, after, strict=True))
    space = tuple(max(n, k - a - b) for n, k, (a, b) in zip(space, window, pads, strict=True))
    if all((k, s) == (1, 1) for k, s in zip(window, stride, strict=True)):
        stride = (2, *stride[1:])
    random = np.random.default_rng(0)
    x = jnp.asarray(random.standard_normal((batch, *space, channels)), dtype)
    shape = jax.eval_shape(lambda x: plain(x, window=window, stride=stride, pads=pads)[0], x).shape
    dy = jnp.asarray(random.standard_normal(shape), dtype)
    taken, *ours = both(x, dy, window, stride, pads)
    none, *theirs = both(x, dy, window, stride, pads, ours=False)
    assert (taken, none) == (2, 0)
    wide, wide_dy = (np.asarray(a.astype(jnp.float32), np.float64) for a in (x, dy))
    rtol, atol = (1e-2, 2e-2) if dtype == "bfloat16" else (1e-5, 1e-6)
    for found, own, wanted in zip(ours, theirs, looped(wide, wide_dy, window, stride, pads), strict=True):
        assert found.dtype == own.dtype == dtype
        np.testing.assert_allclose(np.asarray(found, np.float64), wanted, rtol=rtol, atol=atol)
        np.testing.assert_allclose(np.asarray(own, np.float64), wanted, rtol=rtol, atol=atol)


def test_a_mean_of_bfloat16_is_rounded_once():
    x = jnp.asarray(np.random.default_rng(1).standard_normal((2, 9, 9, 24)), jnp.bfloat16)
    sizes = ((3, 3), (2, 2), ((1, 1), (1, 1)))
    wide = x.astype(jnp.float32)
    found, exact = (jax.jit(lambda x: average_pool(x, *sizes))(a) for a in (x, wide))
    np.testing.assert_array_equal(found.astype(jnp.float32), exact.astype(jnp.bfloat16).astype(jnp.float32))


def test_what_is_not_finite_passes_through():
    x = jnp.ones((1, 6, 3)).at[0, 0, 0].set(jnp.nan).at[0, 2, 1].set(jnp.inf).at[0, 3, 1].set(-jnp.inf)
    _, y, dx = both(x, jnp.full((1, 3, 3), jnp.inf), (2,), (2,), ((0, 0),))
    expected = np.ones((3, 3))
    expected[0, 0] = expected[1, 1] = np.nan
    np.testing.assert_array_equal(y[0], expected)
    np.testing.assert_array_equal(dx, np.full((1, 6, 3), np.inf))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_maps_larger_than_the_caches(dtype):
    """They are written past them: forward the means, backward the gradient."""
    x = jnp.asarray(np.random.default_rng(3).standard_normal((8, 182, 182, 32)), dtype)
    for window, side in ((2, 91), (3, 182)):
        sizes = (window,) * 2, (4 - window,) * 2, ((window - 2,) * 2,) * 2
        dy = x[:, :side, :side]
        for found, own in zip(both(x, dy, *sizes)[1:], both(x, dy, *sizes, ours=False)[1:], strict=True):
            np.testing.assert_allclose(*(np.asarray(a, np.float32) for a in (found, own)), rtol=1e-2, atol=1e-5)


def test_the_same_bits_come_again_and_under_vmap_and_remat():
    random = np.random.default_rng(2)
    x = jnp.asarray(random.standard_normal((3, 2, 40, 41, 20)), jnp.float32)
    dy = jnp.asarray(random.standard_normal((3, 2, 20, 21, 20)), jnp.float32)
    sizes = ((3, 3), (2, 2), ((1, 0), (1, 1)))
    one = jax.jit(lambda x, dy: jax.vjp(lambda x: average_pool(x, *sizes), x)[1](dy)[0])
    first = np.stack([one(part, g) for part, g in zip(x, dy, strict=True)])
    for form in (
        jax.vmap(lambda x: average_pool(x, *sizes)),
        jax.vmap(jax.checkpoint(lambda x: average_pool(x, *sizes))),
    ):
        found = jax.jit(lambda x, dy, form=form: jax.vjp(form, x)[1](dy)[0])(x, dy)
        np.testing.assert_allclose(found, first, rtol=1e-5, atol=1e-6)
    assert all(np.asarray(one(x[0], dy[0])).tobytes() == first[0].tobytes() for _ in range(10))


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_types_have_the_plain_form(dtype):
    with jax.enable_x64(True):
        x = jnp.ones((1, 4, 2), dtype)
        taken, y, dx = both(x, jnp.ones((1, 2, 2), dtype), (2,), (2,), ((0, 0),))
    assert (taken, y.dtype, dx.dtype) == (0, dtype, dtype)
    np.testing.assert_array_equal(dx, np.full(x.shape, 0.5))


def test_more_axes_than_the_kernel_has_take_the_plain_form():
    x, ones = jnp.ones((1, 2, 2, 2, 2, 1)), (2, 2, 2, 2)
    taken, y, _ = both(x, jnp.ones((1, 1, 1, 1, 1, 1)), ones, ones, ((0, 0),) * 4)
    assert (taken, float(y.squeeze())) == (0, 1)
