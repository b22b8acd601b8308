"""Other machines than this one: more threads, an older processor, many callers at once."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

# Convolutions with fewer examples than threads, as many, and more; their gradients; XLA's own beside them.
SCRIPT = """
import jax, jax.numpy as jnp, numpy as np
from cnnlab import kernels
status = kernels.enable()
assert status.in_use, status
from cnnlab.kernels import lowering

worst, taken = 0.0, 0
random = np.random.default_rng(0)
for batch, side, channels, features, window, stride, groups in (
    (1, 31, 16, 24, 3, 1, 1), (2, 17, 16, 16, 5, 2, 1), (3, 40, 8, 8, 3, 3, 2), (5, 12, 32, 64, 1, 1, 1),
    (1, 40, 24, 24, 3, 1, 24), (2, 20, 48, 48, 5, 2, 48), (11, 14, 6, 16, 5, 1, 1), (1, 3, 64, 64, 3, 1, 1),
    (4, 33, 12, 20, 1, 2, 1), (1, 224, 3, 16, 7, 2, 1),
):
    def make():
        def f(x, w):
            low = [(window // 2, window // 2)] * 2
            numbers = ("NHWC", "HWIO", "NHWC")
            return jax.lax.conv_general_dilated(
                x, w, (stride,) * 2, low, dimension_numbers=numbers, feature_group_count=groups
            )
        def both(x, w):
            y, pull = jax.vjp(f, x, w)
            return y, *pull(jnp.cos(y))
        return jax.jit(both)
    x = jnp.asarray(random.normal(size=(batch, side, side, channels)), jnp.float32)
    w = jnp.asarray(random.normal(size=(window, window, channels // groups, features)) / window**2, jnp.float32)
    lowered = make().lower(x, w)
    taken += lowered.as_text().count("custom_call @cnnlab_convolution")
    with lowering.switched(False):
        own = make()(x, w)
    for ours, other in zip(lowered.compile()(x, w), own):
        worst = max(worst, float(jnp.linalg.norm(ours - other) / jnp.linalg.norm(other)))
print(taken, worst)
"""


@pytest.mark.parametrize("changed", [{"NPROC": "5"}, {"NPROC": "1"}, {"ONEDNN_MAX_CPU_ISA": "AVX2"}], ids=str)
@pytest.mark.usefixtures("in_use")
def test_it_agrees_with_xla(changed):
    environment = {**os.environ, **changed, "JAX_PLATFORMS": "cpu"}
    # A program that was compiled for another number of threads is not what is asked for here.
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    command = [sys.executable, "-c", SCRIPT]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr
    taken, worst = ended.stdout.split()
    assert int(taken) == 30
    assert float(worst) < 1e-5


@pytest.mark.usefixtures("in_use")
def test_many_callers_at_once_get_the_same_bits():
    random = np.random.default_rng(0)
    x = jnp.asarray(random.normal(size=(8, 20, 20, 16)), jnp.float32)
    w = jnp.asarray(random.normal(size=(3, 3, 16, 32)), jnp.float32)

    @jax.jit
    def gradients(x, w):
        def run(x, w):
            y = jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            return (y**2).sum()

        return jax.grad(run, argnums=(0, 1))(x, w)

    first = [np.asarray(a).tobytes() for a in gradients(x, w)]
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: gradients(x, w), range(200)):
            assert [np.asarray(a).tobytes() for a in found] == first
