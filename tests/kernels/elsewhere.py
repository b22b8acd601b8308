"""What every kernel makes of some problems: to be asked in processes with other threads, devices or instructions."""

import hashlib
import json
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cnnlab import kernels
from cnnlab.kernels import build, lowering, pooling
from cnnlab.kernels.average_pool import average_pool
from cnnlab.kernels.batch_norm import batch_norm
from cnnlab.kernels.channel_sums import mean_over_space, weighed
from cnnlab.layers.pool import MaxPool
from tests.kernels import test_convolution as fused
from tests.kernels.test_agreement import Case, error


def _square(batch: int, side: int, channels: int, features: int, window: int, stride: int, groups: int) -> Case:
    two, around = (1, 1), (window // 2, window // 2)
    return Case(
        batch, (side, side), groups, channels // groups, features, (window,) * 2, (stride,) * 2, two, (around,) * 2
    )


# Fewer examples than threads, as many, and more.
SQUARES = [
    _square(1, 31, 16, 24, 3, 1, 1), _square(2, 17, 16, 16, 5, 2, 1), _square(3, 40, 8, 4, 3, 3, 2),
    _square(5, 12, 32, 64, 1, 1, 1), _square(1, 40, 24, 1, 3, 1, 24), _square(2, 20, 48, 1, 5, 2, 48),
    _square(11, 14, 6, 16, 5, 1, 1), _square(1, 3, 64, 64, 3, 1, 1), _square(4, 33, 12, 20, 1, 2, 1),
    _square(1, 224, 3, 16, 7, 2, 1), _square(1, 17, 160, 64, 3, 1, 1), _square(6, 13, 64, 112, 3, 1, 1),
]  # fmt: skip


def convolutions() -> tuple[int, float]:
    """How many kernels three programs for each case have, and the largest distance from NumPy in double precision."""
    taken, worst = 0, 0.0
    for case in SQUARES:
        arrays = case.arrays()
        lowered = case.with_gradients().lower(*arrays)
        taken += lowered.as_text().count("custom_call @cnnlab_convolution")
        found, true = lowered.compile()(*arrays), case.oracle(*arrays)
        worst = max(worst, *map(error, found, true))
    return taken, worst


def _spread(x: jax.Array, whole: bool) -> jax.Array:
    """Over all devices, by examples where `whole` of them fit."""
    return jax.device_put(x, NamedSharding(Mesh(jax.devices(), "i"), PartitionSpec("i" if whole else None)))


def fused_convolutions() -> tuple[int, float]:
    """The same of convolutions with their norm, activation and residual."""
    taken, worst = 0, 0.0
    for case in fused.LARGE[:7]:
        operands = fused.arrays(case)
        expected = fused.oracle(case, "relu", True, *operands)
        if jax.device_count() > 1:
            operands = (_spread(operands[0], case.batch % 2 == 0), *operands[1:])
        lowered = fused.function(case, "relu", True).lower(*operands)
        taken += lowered.as_text().count(fused.TARGET)
        worst = max(worst, error(lowered.compile()(*operands), expected))
    return taken, worst


def _norm(activation: str) -> Callable:
    """Values, statistics and gradients; new at each call, so that it is lowered anew."""

    def run(x, scale, bias, residual):
        def whole(*a):
            y, *more = batch_norm(*a[:3], 1e-5, activation, a[3])
            return y, more

        y, pull, more = jax.vjp(whole, x, scale, bias, residual, has_aux=True)
        return y, *more, *pull(jnp.cos(y))

    return jax.jit(run)


def batch_norms() -> tuple[int, float]:
    """The same of batch normalisation, beside its plain form."""
    random, taken, worst = np.random.default_rng(0), 0, 0.0
    for shape in ((1, 200, 64), (4, 60, 60, 24), (3, 7), (2, 30, 31, 17), (40, 6)):
        x, residual = (jnp.asarray(random.normal(size=shape), jnp.float32) for _ in range(2))
        scale, bias = (jnp.asarray(random.normal(size=shape[-1]), jnp.float32) for _ in range(2))
        operands = x, scale, bias, residual
        for activation in ("identity", "swish"):
            with lowering.switched(False):
                expected = _norm(activation)(*operands)
            if jax.device_count() > 1:
                operands = (_spread(x, shape[0] == 4), scale, bias, _spread(residual, shape[0] == 4))
            lowered = _norm(activation).lower(*operands)
            taken += lowered.as_text().count("custom_call @cnnlab_batch_norm")
            worst = max(worst, *map(error, lowered.compile()(*operands), expected))
    return taken, worst


def digests() -> tuple[str, str]:
    """Of every bit that pooling, and that means over space and gates make: the same with any number of threads."""
    pools, sums, random = hashlib.sha256(), hashlib.sha256(), np.random.default_rng(0)
    pooling.install(build.load())
    for shape, window, stride, padding in (
        ((1, 61, 50, 40), 3, 2, 1), ((7, 30, 31, 24), 2, 2, 0), ((1, 20, 20, 20, 30), 3, 2, 1),
        ((3, 500, 99), 5, 1, 2), ((2, 9, 90, 100), 3, 3, 1),
    ):  # fmt: skip
        layer = MaxPool(window, axes=len(shape) - 2, stride=stride, padding=padding)
        x = jnp.asarray(random.integers(0, 50, shape), jnp.float32)
        dy = jnp.asarray(random.normal(size=jax.eval_shape(layer, x).shape), jnp.float32)
        for array in jax.jit(lambda x, dy, layer=layer: (layer(x), jax.vjp(layer, x)[1](dy)[0]))(x, dy):
            pools.update(np.asarray(array).tobytes())

    def run(x, w):
        def all_three(x, w):
            return weighed(x, w), mean_over_space(x), average_pool(x, (3, 2), (2, 2), ((1, 1), (0, 1)))

        made, pull = jax.vjp(all_three, x, w)
        return *made, *pull(made)

    for shape in ((1, 150, 200, 40), (7, 60, 61, 24), (3, 90, 90, 17)):
        x, w = (jnp.asarray(random.normal(size=s), jnp.float32) for s in (shape, (shape[0], shape[-1])))
        for array in jax.jit(run)(x, w):
            sums.update(np.asarray(array).tobytes())
    return pools.hexdigest(), sums.hexdigest()


def main(*names: str) -> None:
    """Prints what the functions of these names find, as JSON."""
    assert kernels.enable().in_use
    print(json.dumps({name: globals()[name]() for name in names}))
