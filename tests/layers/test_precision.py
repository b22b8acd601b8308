"""Layers in the numbers that they are given: bfloat16 near float32, gradients of parameters summed without loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import Array

from cnnlab.layers.activation import ACTIVATIONS, Prelu, Softmax, Swish
from cnnlab.layers.conv import Conv, ConvTranspose, Dense
from cnnlab.layers.gate import SqueezeExcite
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.layers.pad import Pad
from cnnlab.layers.precision import at_least_float32, product
from cnnlab.layers.regularize import Dropout
from cnnlab.layers.resample import Flatten, Unflatten, Upsample
from cnnlab.layers.separable import DepthwiseConv, SeparableConv, SpatiallySeparableConv
from cnnlab.models.lenet import UnitBias

INIT = Initializer(0)
EPSILON = 2**-8  # of bfloat16: half a unit in the last place of 1; formulas round some times on the way
LAYERS = {
    "conv": Conv(6, 8, 3, axes=2, init=INIT),
    "grouped": Conv(6, 8, 3, axes=2, groups=2, padding_mode="reflect", padding=1, init=INIT),
    "transposed": ConvTranspose(6, 8, 3, axes=2, stride=2, init=INIT),
    "depthwise": DepthwiseConv(6, 12, 3, axes=2, init=INIT),
    "separable": SeparableConv(6, 8, 3, axes=2, init=INIT),
    "spatially separable": SpatiallySeparableConv(6, 8, 3, axes=2, init=INIT),
    "gate": SqueezeExcite(6, 3, axes=2, init=INIT),
    "prelu": Prelu(6),
    "swish": Swish(1.3, learned=True),
    "unit bias": UnitBias((20, 20, 6)),
    "nearest": Upsample(2, axes=2),
    "bilinear": Upsample(2, axes=2, method="bilinear"),
    "pad": Pad(2, axes=2, mode="circular"),
    **{name: make() for name, make in ACTIVATIONS.items()},
}
X = np.random.default_rng(0).standard_normal((4, 20, 20, 6)).astype(jnp.bfloat16)


def passes(layer: nnx.Module, x: np.ndarray, weights: np.ndarray, dtype: type) -> tuple[Array, Array, list[Array]]:
    """The output, and gradients of sum(weights * output) with respect to x and to the parameters."""
    graph, parameters = nnx.split(layer)
    parameters = jax.tree.map(lambda leaf: leaf.astype(at_least_float32(jnp.zeros((), dtype))), parameters)

    @jax.jit
    def run(x: Array, parameters: nnx.State) -> tuple[Array, Array, list[Array]]:
        y, pull = jax.vjp(lambda x, p: nnx.merge(graph, p)(x), x, parameters)
        dx, gradients = pull(jnp.asarray(weights, y.dtype))
        return y, dx, jax.tree.leaves(gradients)

    return run(jnp.asarray(x, dtype), parameters)


def assert_near(found: Array, exact: Array, share: float) -> None:
    """Within `share` of the largest value."""
    exact = np.asarray(exact, np.float64)
    np.testing.assert_allclose(np.asarray(found, np.float64), exact, rtol=0, atol=share * np.abs(exact).max())


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_in_bfloat16_is_near_the_layer_in_float64(name):
    layer = LAYERS[name]
    shape = jax.eval_shape(layer, jax.ShapeDtypeStruct(X.shape, jnp.float32)).shape
    # All positive: what is summed in bfloat16 stops growing, and could not pass.
    weights = np.random.default_rng(1).random(shape).astype(jnp.bfloat16)
    y, dx, gradients = passes(layer, X, weights, jnp.bfloat16)
    with jax.enable_x64(True):
        exact = passes(layer, X, weights, np.float64)
    assert y.dtype == dx.dtype == jnp.bfloat16
    assert exact[0].dtype == exact[1].dtype == np.float64
    assert {leaf.dtype for leaf in gradients} <= {np.dtype("float32")}
    assert_near(y, exact[0], 8 * EPSILON)
    assert_near(dx, exact[1], 8 * EPSILON)
    for found, wanted in zip(gradients, exact[2], strict=True):
        assert_near(found, wanted, 8 * EPSILON)


@pytest.mark.parametrize(
    "layer", [Flatten(), Unflatten((20, 20, 6)), Dropout(0.5), Softmax()], ids=lambda layer: type(layer).__name__
)
def test_what_has_no_weights_keeps_the_type(layer):
    x = X.reshape(4, -1) if isinstance(layer, Unflatten) else X
    for dtype in (jnp.bfloat16, jnp.float32):
        assert layer(jnp.asarray(x, dtype), Mode(True, jax.random.key(0))).dtype == dtype


def test_dropout_draws_alike_in_both():
    mode = Mode(True, jax.random.key(0))
    narrow, wide = (Dropout(0.5)(jnp.ones((4, 50), dtype), mode) for dtype in (jnp.bfloat16, jnp.float32))
    np.testing.assert_array_equal(narrow.astype(jnp.float32), wide)


def test_a_bias_learns_from_every_position():
    # In bfloat16 256 + 1 is 256.
    layer = Conv(1, 1, 1, axes=2, init=INIT)
    *_, gradients = passes(layer, np.zeros((4, 64, 64, 1)), np.ones((4, 64, 64, 1)), jnp.bfloat16)
    assert sorted(float(leaf.sum()) for leaf in gradients) == [0.0, 4 * 64 * 64]


def test_softmax_adds_up_in_float32():
    y = Softmax()(jnp.zeros((2, 1000), jnp.bfloat16))
    np.testing.assert_array_equal(y.astype(jnp.float32), np.full((2, 1000), 1e-3, jnp.bfloat16).astype(np.float32))


def test_a_dense_layer_in_bfloat16_rounds_its_output_and_not_its_kernels_gradient():
    random = np.random.default_rng(2)
    layer = Dense(300, 40, init=INIT)
    x, weights = random.random((64, 300)).astype(jnp.bfloat16), random.random((64, 40)).astype(jnp.bfloat16)
    y, dx, (dbias, dkernel) = passes(layer, x, weights, jnp.bfloat16)
    with jax.enable_x64(True):
        exact = passes(layer, x, weights, np.float64)
    assert y.dtype == dx.dtype == jnp.bfloat16
    assert dkernel.dtype == dbias.dtype == np.float32
    assert_near(y, exact[0], 3 * EPSILON)
    assert_near(dx, exact[1], 3 * EPSILON)
    assert_near(dbias, exact[2][0], 1e-6)
    assert_near(dkernel, exact[2][1], 1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_product_of_wide_numbers_is_the_plain_one(dtype):
    random = np.random.default_rng(3)
    with jax.enable_x64(True):
        x, kernel = (jnp.asarray(random.standard_normal(shape), dtype) for shape in ((5, 7), (7, 3)))
        y = product(x, kernel)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, x @ kernel)
