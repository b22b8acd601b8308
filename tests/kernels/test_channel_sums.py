"""Means over space and gates, by the kernel and in their plain form, against double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnlab.kernels import lowering
from cnnlab.kernels.channel_sums import mean_over_space, weighed

pytestmark = pytest.mark.usefixtures("in_use")
TARGET = "custom_call @cnnlab_channel_sums"
SHAPES = st.tuples(st.integers(1, 4), st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(1, 70))


def arrays(shape, dtype="float32", mean=0.5):
    """x, the weights of its channels, and the gradients of what is weighed and of the mean."""
    random = np.random.default_rng(0)
    x, dy = (jnp.asarray(random.standard_normal(shape) + mean, dtype) for _ in range(2))
    weight, dmean = (jnp.asarray(random.standard_normal((shape[0], shape[-1])), jnp.float32) for _ in range(2))
    return x, weight, dy, dmean


def gate(x, weight, dy, dmean):
    (y, mean), pull = jax.vjp(lambda x, weight: (weighed(x, weight), mean_over_space(x)), x, weight)
    return y, mean, *pull((dy, dmean))


def oracle(x, weight, dy, dmean):
    x, weight, dy, dmean = (np.asarray(a.astype(jnp.float32), np.float64) for a in (x, weight, dy, dmean))
    axes = tuple(range(1, x.ndim - 1))
    w, share = np.expand_dims(weight, axes), np.expand_dims(dmean, axes) / np.prod(x.shape[1:-1])
    return x * w, x.mean(axes), dy * w + share, (dy * x).sum(axes)


def compiled(ours, *operands):
    """How many kernels are in there, and what comes out."""
    with lowering.switched(ours):
        lowered = jax.jit(lambda *a: gate(*a)).lower(*operands)
    return lowered.as_text().count(TARGET), lowered.compile()(*operands)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SHAPES, st.sampled_from(["float32", "bfloat16"]), st.booleans())
def test_values_and_gradients_are_those_of_double_precision(shape, dtype, ours):
    batch, space, channels = shape
    operands = arrays((batch, *space, channels), dtype)
    taken, found = compiled(ours, *operands)
    assert taken == 2 * ours
    assert [a.dtype.name for a in found] == [dtype, "float32", dtype, "float32"]
    near = {"y": 2e-2, "mean": 1e-5, "dx": 4e-2, "dweight": 1e-4}
    for (name, atol), a, b in zip(near.items(), found, oracle(*operands), strict=True):
        atol = atol if dtype == "bfloat16" or name in ("mean", "dweight") else 1e-5
        np.testing.assert_allclose(np.asarray(a, np.float64), b, rtol=atol, atol=atol, err_msg=name)


@pytest.mark.parametrize("shape", [(1, 200, 200, 24), (3, 40, 41, 70), (8, 5000, 3), (2, 30, 10, 10, 64)])
def test_sums_of_large_maps_lose_no_digits(shape):
    operands = arrays(shape, mean=100.0)
    taken, found = compiled(True, *operands)
    assert taken == 2
    for a, b in zip(found, oracle(*operands), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_what_is_not_finite_passes_through():
    x = jnp.ones((1, 9, 17)).at[0, 3, 1].set(jnp.nan).at[0, 4, 16].set(jnp.inf)
    _, weight, dy, dmean = arrays(x.shape)
    for ours in (True, False):
        y, mean, dx, dweight = compiled(ours, x, weight, dy, dmean)[1]
        assert np.isnan(y[0, 3, 1]) and np.isinf(y[0, 4, 16])  # noqa: PT018
        assert np.isnan(mean[0, 1]) and np.isinf(mean[0, 16])  # noqa: PT018
        assert np.isnan(dweight[0, 1]) and np.isinf(dweight[0, 16])  # noqa: PT018
        assert np.isfinite(np.delete(mean, [1, 16], 1)).all()
        assert np.isfinite(dx).all()


def test_what_jax_makes_of_them():
    operands = arrays((3, 4, 5, 6))
    direct = compiled(True, *operands)[1]
    twice = [jnp.stack([a, 2 * a]) for a in operands]
    forms = {
        "as it is": gate(*operands),
        "remat": jax.jit(jax.checkpoint(lambda *a: gate(*a)))(*operands),
        "vmap": [a[0] for a in jax.jit(jax.vmap(gate))(*twice)],
    }
    for name, found in forms.items():
        for a, b in zip(found, direct, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5, err_msg=name)


def test_double_precision_stays_double():
    with jax.enable_x64(True):
        operands = [jnp.asarray(np.asarray(a), jnp.float64) for a in arrays((2, 5, 3))]
        taken, found = compiled(True, *operands)
    assert taken == 0
    for a, b in zip(found, oracle(*operands), strict=True):
        assert a.dtype == np.float64
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_inside_a_shard_map_it_is_the_plain_form():
    from jax.sharding import Mesh, PartitionSpec

    operands = arrays((4, 3, 8))
    mesh, cut = Mesh(np.array(jax.devices()[:1]), "i"), PartitionSpec("i")
    found = jax.jit(jax.shard_map(gate, mesh=mesh, in_specs=(cut,) * 4, out_specs=(cut,) * 4))(*operands)
    for a, b in zip(found, oracle(*operands), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
