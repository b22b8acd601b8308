"""Normalisation against NumPy in double precision, its gradients against finite differences."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab.layers.activation import Gelu, Identity, Relu, Sigmoid, Swish, Tanh
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.norm import After, BatchNorm, GroupNorm, InstanceNorm, LayerNorm, fusible
from cnnlab.layers.windows import ShapeError

CLOSE = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
TRAIN = Mode(train=True)
SCALE, BIAS = np.float32([1.5, -0.5, 2, 1]), np.float32([0, 1, -2, 0.5])


def maps(*space: int, batch: int = 3, seed: int = 0) -> np.ndarray:
    """Four channels of different means and deviations."""
    x = np.random.default_rng(seed).standard_normal((batch, *space, 4))
    return (x * [1, 2, 0.5, 3] + [0, 1, -2, 5]).astype(np.float32)


def run(layer, x: np.ndarray, mode: Mode = EVALUATION) -> np.ndarray:
    return np.asarray(layer(jnp.asarray(x), mode))


def affine(layer):
    layer.scale[...], layer.bias[...] = SCALE, BIAS
    return layer


def batch_normal(x: np.ndarray, epsilon: float = 1e-5) -> np.ndarray:
    flat = x.reshape(-1, x.shape[-1])
    mean = flat.sum(0) / len(flat)
    variance = ((flat - mean) ** 2).sum(0) / len(flat)
    return (x - mean) / np.sqrt(variance + epsilon) * SCALE + BIAS


def group_normal(x: np.ndarray, groups: int, epsilon: float = 1e-5) -> np.ndarray:
    y = np.zeros(x.shape)
    width = x.shape[-1] // groups
    for i in range(len(x)):
        for g in range(groups):
            part = x[i, ..., g * width : (g + 1) * width].astype(np.float64)
            mean = part.sum() / part.size
            variance = ((part - mean) ** 2).sum() / part.size
            y[i, ..., g * width : (g + 1) * width] = (part - mean) / np.sqrt(variance + epsilon)
    return y * SCALE + BIAS


@pytest.mark.parametrize("space", [(), (5,), (3, 4), (2, 3, 2)])
def test_batch_norm_in_training_takes_the_batchs_statistics(space):
    x = maps(*space, batch=6)
    CLOSE(run(affine(BatchNorm(4)), x, TRAIN), batch_normal(x.astype(np.float64)))


def test_batch_norm_keeps_running_statistics_with_the_unbiased_variance():
    layer = affine(BatchNorm(4, momentum=0.75))
    mean, variance = np.zeros(4), np.ones(4)
    for seed in range(3):
        x = maps(2, 2, batch=2, seed=seed)
        run(layer, x, TRAIN)
        flat = x.reshape(-1, 4).astype(np.float64)
        mean = 0.75 * mean + 0.25 * flat.mean(0)
        variance = 0.75 * variance + 0.25 * flat.var(0, ddof=1)
        CLOSE(layer.mean[...], mean)
        CLOSE(layer.var[...], variance)
    x = maps(3, batch=1, seed=9)
    for mode in (EVALUATION, Mode(train=False, key=jax.random.key(0))):
        CLOSE(run(layer, x, mode), (x - mean) / np.sqrt(variance + 1e-5) * SCALE + BIAS)
    CLOSE(layer.mean[...], mean)  # evaluation leaves them alone
    CLOSE(layer.var[...], variance)


@pytest.mark.parametrize("space", [(), (3, 4)])
def test_a_frozen_batch_norm_evaluates_in_training_too(space):
    layer, x = affine(BatchNorm(4)), maps(*space, seed=3)
    run(layer, maps(5), TRAIN)
    mean, variance = np.array(layer.mean[...]), np.array(layer.var[...])
    layer.frozen = True
    CLOSE(run(layer, x, TRAIN), (x - mean) / np.sqrt(variance + 1e-5) * SCALE + BIAS)
    np.testing.assert_array_equal(run(layer, x, TRAIN), run(layer, x))
    np.testing.assert_array_equal(layer.mean[...], mean)
    np.testing.assert_array_equal(layer.var[...], variance)
    copy = nnx.merge(*nnx.split(layer))  # what the training step makes of it
    np.testing.assert_array_equal(run(copy, x, TRAIN), run(layer, x))
    layer.frozen = False
    run(layer, x, TRAIN)
    assert np.abs(layer.mean[...] - mean).max() > 0.01


def test_batch_norm_begins_as_the_identity_and_keeps_nine_tenths():
    layer = BatchNorm(4)
    x = maps(2)
    CLOSE(run(layer, x), x, rtol=1e-4)
    run(layer, x, TRAIN)
    CLOSE(layer.mean[...], 0.1 * x.reshape(-1, 4).mean(0, dtype=np.float64))


def test_batch_norm_of_one_value_per_channel_is_finite():
    layer = affine(BatchNorm(4))
    x = maps(batch=1)
    CLOSE(run(layer, x, TRAIN), [BIAS])
    CLOSE(layer.var[...], np.full(4, 0.9))


@pytest.mark.parametrize("space", [(), (5,), (3, 4), (2, 3, 2)])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_group_norm_takes_each_examples_groups(space, groups):
    x = maps(*space)
    CLOSE(run(affine(GroupNorm(4, groups)), x), group_normal(x, groups), atol=1e-4)


def test_layer_norm_is_one_group_and_instance_norm_a_group_a_channel():
    x = maps(3, 4)
    CLOSE(run(affine(LayerNorm(4)), x), group_normal(x, 1), atol=1e-4)
    CLOSE(run(affine(InstanceNorm(4)), x), group_normal(x, 4), atol=1e-4)


@pytest.mark.parametrize("make", [BatchNorm, partial(GroupNorm, groups=2), LayerNorm, InstanceNorm])
def test_epsilon_is_added_to_the_variance(make):
    layer = make(4, epsilon=0.5)
    x = np.float32([-1, 1, -1, 1]).reshape(1, 4, 1) * np.ones(4, np.float32)
    CLOSE(run(layer, x, TRAIN), x / np.sqrt(1.5))


@pytest.mark.parametrize("make", [LayerNorm, InstanceNorm, partial(GroupNorm, groups=2)])
def test_per_example_norms_know_no_mode(make):
    x = maps(3)
    np.testing.assert_array_equal(run(make(4), x), run(make(4), x, TRAIN))


@pytest.mark.parametrize(
    ("make", "oracle"),
    [(BatchNorm, batch_normal), (partial(GroupNorm, groups=2), partial(group_normal, groups=2))],
    ids=["batch", "group"],
)
def test_gradients_are_finite_differences_of_the_formula(make, oracle):
    x = maps(2, 2, batch=3)
    weights = np.random.default_rng(1).standard_normal(x.shape)
    graph, params, rest = nnx.split(affine(make(4)), nnx.Param, ...)

    def weighted(x, params):
        return (nnx.merge(graph, params, rest)(x, TRAIN) * weights.astype(np.float32)).sum()

    of_x, of_params = jax.grad(weighted, argnums=(0, 1))(jnp.asarray(x), params)
    exact, step = x.astype(np.float64), 1e-5
    for place in np.ndindex(x.shape):
        bump = np.zeros_like(exact)
        bump[place] = step
        difference = ((oracle(exact + bump) - oracle(exact - bump)) * weights).sum() / (2 * step)
        assert of_x[place] == pytest.approx(difference, rel=1e-2, abs=2e-3)
    normal = (oracle(exact) - BIAS) / SCALE
    CLOSE(of_params["scale"][...], (normal * weights).sum((0, 1, 2)), rtol=1e-3)
    CLOSE(of_params["bias"][...], weights.sum((0, 1, 2)), rtol=1e-3)


def test_groups_that_do_not_divide_are_refused():
    with pytest.raises(ShapeError, match=r"^32 groups do not divide the 48 channels$"):
        GroupNorm(48, 32)


@pytest.mark.parametrize("make", [BatchNorm, partial(GroupNorm, groups=2), LayerNorm, InstanceNorm])
@pytest.mark.parametrize("mode", [EVALUATION, TRAIN])
def test_bfloat16_maps_stay_so_and_are_normalised_in_float32(make, mode):
    layer, x = affine(make(4)), jnp.asarray(maps(3, 4) + 50, jnp.bfloat16)
    y = layer(x, mode)
    assert y.dtype == jnp.bfloat16
    wide = affine(make(4))(x.astype(jnp.float32), mode)
    np.testing.assert_array_equal(y, wide.astype(jnp.bfloat16))
    if make is BatchNorm:
        assert {layer.mean[...].dtype.name, layer.var[...].dtype.name} == {"float32"}


@pytest.mark.parametrize("mode", [EVALUATION, TRAIN])
def test_double_precision_stays_so(mode):
    with jax.enable_x64(True):
        layer = affine(BatchNorm(4))
        y = layer(jnp.asarray(maps(3), jnp.float64), mode)
        assert y.dtype == jnp.float64
        assert layer.mean[...].dtype == jnp.float32


@pytest.mark.parametrize(("activation", "function"), [(Relu(), jax.nn.relu), (Swish(), jax.nn.silu)])
def test_batch_norm_does_what_comes_after_it(activation, function):
    x, residual = jnp.asarray(maps(3, 4)), jnp.asarray(maps(3, 4, seed=1))
    alone, both = affine(BatchNorm(4)), affine(BatchNorm(4))
    expected = function(alone(x, TRAIN) + residual)
    name = fusible(activation)
    assert name is not None
    CLOSE(both(x, TRAIN, After(name, residual)), expected)
    np.testing.assert_array_equal(both.mean[...], alone.mean[...])
    np.testing.assert_array_equal(both.var[...], alone.var[...])


def test_activations_that_kernels_know():
    assert [fusible(a) for a in (None, Identity(), Relu(), Swish())] == ["identity", "identity", "relu", "swish"]
    assert [fusible(a) for a in (Tanh(), Sigmoid())] == ["tanh", "sigmoid"]
    assert [fusible(a) for a in (Gelu(), Swish(2.0), Swish(learned=True), LayerNorm(4))] == [None] * 4
