"""Batch normalisation's kernels and their plain form against double precision, and where which of them runs."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cnnlab.kernels import batch_norm as room
from cnnlab.kernels.batch_norm import ACTIVATIONS, batch_norm

TARGET = "custom_call @cnnlab_batch_norm"
EPSILON = 1e-3


def arrays(shape, dtype="float32", mean=1.0, seed=0):
    """x, scale, bias, residual, and the gradient of y."""
    random = np.random.default_rng(seed)
    x = jnp.asarray(random.standard_normal(shape) + mean, dtype)
    scale, bias = (jnp.asarray(random.standard_normal(shape[-1]), jnp.float32) for _ in range(2))
    residual, dy = (jnp.asarray(random.standard_normal(shape), dtype) for _ in range(2))
    return x, scale, bias, residual, dy


def everything(activation, residual, *operands):
    """y, mean, variance and the gradients, through JAX's differentiation of the function under test."""
    x, scale, bias, added, dy = operands
    names = (x, scale, bias, added) if residual else (x, scale, bias)

    def run(x, scale, bias, added=None):
        y, mean, variance = batch_norm(x, scale, bias, EPSILON, activation, added)
        return y, (mean, variance)

    y, pull, statistics = jax.vjp(run, *names, has_aux=True)
    return y, *statistics, *pull(dy)


def compiled(activation, residual):
    """A new function each time: JAX keeps what it has lowered."""
    return jax.jit(partial(everything, activation, residual))


def oracle(activation, residual, *operands):
    """The same in double precision, by NumPy: the derivation of Ioffe and Szegedy 2015, section 3."""
    x, scale, bias, added, dy = (np.asarray(a.astype(jnp.float32), np.float64) for a in operands)
    axes = tuple(range(x.ndim - 1))
    count = x.size // x.shape[-1]
    mean, variance = x.mean(axes), x.var(axes)
    deviation = np.sqrt(variance + EPSILON)
    normal = (x - mean) / deviation
    z = normal * scale + bias + (added if residual else 0)
    sigmoid = 1 / (1 + np.exp(-z))
    y = {"identity": z, "relu": np.maximum(z, 0), "swish": z * sigmoid}[activation]
    slope = {"identity": np.ones_like(z), "relu": z > 0, "swish": sigmoid + z * sigmoid * (1 - sigmoid)}[activation]
    dz = dy * slope
    dnormal = dz * scale
    dvariance = (dnormal * (x - mean)).sum(axes) * -0.5 / deviation**3
    dmean = -dnormal.sum(axes) / deviation
    dx = dnormal / deviation + dvariance * 2 * (x - mean) / count + dmean / count
    gradients = (dx, (dz * normal).sum(axes), dz.sum(axes))
    # A ReLU's slope leaps where z is 0: what lies so near may fall on either side.
    unsure = (np.abs(z) < 1e-4 * (1 + np.abs(bias))).any() if activation == "relu" else False
    return (y, mean, variance, *gradients, *((dz,) if residual else ())), unsure


def agree(found, expected, dtype, names=("y", "mean", "variance", "dx", "dscale", "dbias", "dresidual")):
    for name, a, b in zip(names, found, expected, strict=False):
        rounded = dtype == "bfloat16" and name in ("y", "dx", "dresidual")
        # What a channel's sum loses is in proportion to its terms, which are of order 1 here.
        near = 1e-4 * max(1.0, float(np.abs(b).max()))
        if name == "dscale" or name == "dbias":
            near = 1e-5 * found[0].size ** 0.5 + near
            near = near + (3e-2 * found[0].size ** 0.5 if dtype == "bfloat16" else 0)
        np.testing.assert_allclose(
            np.asarray(a, np.float64), b, rtol=1e-2 if rounded else 1e-4, atol=2e-2 if rounded else near, err_msg=name
        )


# Native, by the plain formulas, and by XLA's own sums.
FORMS = [(True, True), (True, False), (False, False)]
shapes = st.lists(st.integers(1, 9), min_size=1, max_size=4).flatmap(
    lambda space: st.integers(1, 70).map(lambda channels: (*space, channels))
)


@settings(max_examples=45, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    form=st.sampled_from(FORMS),
    shape=shapes,
    dtype=st.sampled_from(["float32", "bfloat16"]),
    activation=st.sampled_from(list(ACTIVATIONS)),
    residual=st.booleans(),
    seed=st.integers(0, 99),
)
def test_values_and_gradients_are_those_of_double_precision(enabled, form, shape, dtype, activation, residual, seed):
    from cnnlab.kernels import lowering

    on, native = form
    assume(enabled.in_use or not native)
    operands = arrays(shape, dtype, seed=seed)
    expected, unsure = oracle(activation, residual, *operands)
    with lowering.switched(on, native=native):
        run = compiled(activation, residual).lower(*operands)
        assert run.as_text().count(TARGET) == 2 * native
        found = run.compile()(*operands)
    assert [a.dtype.name for a in found] == [dtype, *["float32"] * 2, dtype, *["float32"] * 2, dtype][: len(found)]
    agree(found[:3] if unsure else found, expected, dtype)


@pytest.mark.parametrize("shape", [(4, 33, 33, 64), (3, 50, 50, 6), (2, 40, 41, 7), (700, 33), (8, 2, 2, 1000)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.usefixtures("in_use")
def test_maps_of_many_chunks_and_threads(shape, activation, dtype):
    operands = arrays(shape, dtype)
    for residual in (False, True):
        expected, _ = oracle(activation, residual, *operands)
        run = compiled(activation, residual)
        found = run(*operands)
        for a, b in zip(found, expected, strict=True):
            difference = np.asarray(a, np.float64) - b
            assert np.linalg.norm(difference) < (1e-2 if dtype == "bfloat16" else 1e-4) * np.linalg.norm(b)
        again = run(*operands)
        for a, b in zip(found, again, strict=True):
            assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.usefixtures("in_use")
def test_a_map_larger_than_the_caches(residual):
    """Of 17 MB: it is written past them."""
    operands = arrays((4, 182, 182, 32))
    expected, _ = oracle("swish", residual, *operands)
    for a, b in zip(compiled("swish", residual)(*operands), expected, strict=True):
        assert np.linalg.norm(np.asarray(a, np.float64) - b) < 1e-5 * np.linalg.norm(b)


@pytest.mark.usefixtures("in_use")
def test_a_first_value_far_from_all_others():
    """The moments are taken about it."""
    x, *rest = arrays((2, 20, 20, 16))
    x = x.at[0, 0, 0].set(100.0)
    expected, _ = oracle("identity", False, x, *rest)
    found = compiled("identity", False)(x, *rest)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-5)


@pytest.mark.parametrize(("on", "native"), FORMS)
def test_a_large_mean_costs_no_digits_of_the_variance(enabled, on, native):
    from cnnlab.kernels import lowering

    if native and not enabled.in_use:
        pytest.skip(enabled.why)
    x, *rest = arrays((16, 30, 30, 20), mean=1000.0)
    expected, _ = oracle("identity", False, x, *rest)
    with lowering.switched(on, native=native):
        found = compiled("identity", False)(x, *rest)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-6)
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-5)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-3)


@pytest.mark.usefixtures("in_use")
def test_images_of_very_different_brightness():
    """The first lines tell nothing of those that follow."""
    x, *rest = arrays((6, 40, 40, 24))
    x = x + jnp.asarray([0, 1000, 0, -3000, 5, 1000], jnp.float32)[:, None, None, None]
    expected, _ = oracle("identity", False, x, *rest)
    found = compiled("identity", False)(x, *rest)
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.usefixtures("in_use")
def test_a_nan_shows(activation):
    x, *rest = arrays((2, 5, 5, 40))
    found = compiled(activation, False)(x.at[1, 2, 3, 4].set(jnp.nan), *rest)
    assert np.isnan(found[0][..., 4]).all()
    assert np.isfinite(np.delete(found[0], 4, -1)).all()
    # Through a ReLU none comes back, as none does in JAX.
    assert np.isnan(found[3][..., 4]).all()


def test_extreme_values_of_swish(in_use):
    z = jnp.asarray([[-1e30, -200.0, -88.0, -20.0, 0.0, 20.0, 88.0, 200.0, 1e30]] * 2, jnp.float32)
    x = jnp.zeros_like(z)
    y = jax.jit(lambda x, z: batch_norm(x, jnp.ones(9), jnp.zeros(9), EPSILON, "swish", z)[0])(x, z)
    np.testing.assert_allclose(y, jax.nn.silu(z), rtol=1e-6, atol=1e-30)


def test_no_gradient_flows_through_the_statistics(in_use):
    x, scale, bias, *_ = arrays((4, 3, 8))
    found = jax.grad(lambda x: sum(a.sum() for a in batch_norm(x, scale, bias, EPSILON)[1:]))(x)
    np.testing.assert_array_equal(found, 0)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.usefixtures("in_use")
def test_what_jax_makes_of_functions(activation, residual):
    operands = arrays((3, 4, 5, 6))
    here = partial(everything, activation, residual)
    direct = jax.jit(here)(*operands)

    def close(found, expected):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)

    with jax.disable_jit():
        close(here(*operands), direct)
    twice = [jnp.stack([a, a + 1]) for a in operands]
    mapped = jax.jit(jax.vmap(here))(*twice)
    close([a[0] for a in mapped], direct)
    close([a[1] for a in mapped], jax.jit(here)(*(a + 1 for a in operands)))

    def loss(x, scale, bias, added, dy):
        y = batch_norm(x, scale, bias, EPSILON, activation, added if residual else None)[0]
        return (jnp.sin(y) * dy).sum()

    every = (0, 1, 2, 3)
    expected = jax.jit(jax.grad(loss, every))(*operands)
    close(jax.jit(jax.grad(jax.checkpoint(loss), every))(*operands), expected)
    # Copies are given away: gradients take the place of what nobody else reads.
    given = [jnp.array(a, copy=True) for a in operands]
    donated = jax.jit(jax.grad(loss, every), donate_argnums=(0, 3))
    close(donated(*given), expected)


def test_gradients_of_gradients_are_those_of_the_plain_form(in_use):
    x, scale, bias, added, dy = arrays((4, 3, 5))

    def penalty(run, x):
        first = jax.grad(lambda x: (jnp.sin(run(x)) * dy).sum())(x)
        return (first**2).sum()

    ours = lambda x: batch_norm(x, scale, bias, EPSILON, "swish", added)[0]  # noqa: E731
    plain = lambda x: room._plain(x, scale, bias, added, epsilon=EPSILON, activation="swish")[0]  # noqa: E731
    found, expected = (jax.jit(jax.grad(partial(penalty, run)))(x) for run in (ours, plain))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.usefixtures("in_use")
def test_a_map_that_others_read_too_is_left_alone():
    """Gradients are written over the maps they come from; XLA has to copy those first that are needed once more."""
    x, scale, bias, residual, dy = arrays((4, 9, 9, 32))

    def run(x, dy):
        _, pull = jax.vjp(lambda x, r: batch_norm(x, scale, bias, EPSILON, "relu", r)[0], x, residual)
        return *pull(dy), x * 2, dy * 2

    *_, twice_x, twice_dy = jax.jit(run)(x + 0, dy + 0)
    np.testing.assert_array_equal(twice_x, x * 2)
    np.testing.assert_array_equal(twice_dy, dy * 2)


@pytest.mark.parametrize(
    "operands",
    [arrays((2, 3, 8), "float16"), arrays((0, 3, 8))],
    ids=["float16", "no examples"],
)
@pytest.mark.usefixtures("in_use")
def test_whatever_else_there_is_stays_with_xla(operands):
    assert TARGET not in compiled("relu", True).lower(*operands).as_text()


def test_double_precision_stays_double(in_use):
    with jax.enable_x64(True):
        x, scale, bias, *_ = (jnp.asarray(np.asarray(a), jnp.float64) for a in arrays((3, 5, 8)))
        y, mean, variance = jax.jit(lambda *a: batch_norm(*a, 1e-5, "relu"))(x, scale, bias)
    assert {a.dtype.name for a in (y, mean, variance)} == {"float64"}
    x, scale, bias = map(np.asarray, (x, scale, bias))
    normal = (x - x.mean((0, 1))) / np.sqrt(x.var((0, 1)) + 1e-5)
    np.testing.assert_allclose(y, np.maximum(normal * scale + bias, 0), rtol=1e-12, atol=1e-12)


def test_inside_a_shard_map_it_is_the_plain_form(in_use):
    from jax.sharding import Mesh, PartitionSpec

    x, scale, bias, residual, dy = arrays((4, 3, 8))
    mesh = Mesh(np.array(jax.devices()[:1]), "i")
    cut, same = PartitionSpec("i"), PartitionSpec()

    def loss(x, scale, bias, residual, dy):
        y, *_ = batch_norm(x, scale, bias, EPSILON, "relu", residual)
        return jax.lax.psum((y * dy).sum(), "i")

    specs = {"in_specs": (cut, same, same, cut, cut), "out_specs": same}
    operands = (x, scale, bias, residual, dy)
    found = jax.jit(jax.grad(jax.shard_map(loss, mesh=mesh, **specs), (0, 1, 2, 3)))(*operands)
    expected = compiled("relu", True)(*operands)[3:]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
