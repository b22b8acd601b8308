"""Other machines than this one: more threads and fewer, several devices, an older processor, many callers at once."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.kernels import elsewhere
from tests.kernels.conftest import printed

EVERY = {"convolutions": 36, "fused_convolutions": 7, "batch_norms": 20}
MACHINES = {
    "one thread": ({"NPROC": "1"}, EVERY),
    "five threads": ({"NPROC": "5"}, EVERY),
    "an older processor": ({"ONEDNN_MAX_CPU_ISA": "AVX2"}, EVERY),
    "two devices": (
        {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
        {"fused_convolutions": 0, "batch_norms": 0},
    ),
}


@cache
def digests() -> list[str]:
    """What this process finds, with the threads that it has."""
    return list(elsewhere.digests())


@pytest.mark.parametrize(("changed", "taken"), MACHINES.values(), ids=MACHINES)
@pytest.mark.usefixtures("in_use")
def test_every_kernel_is_right_and_threads_change_no_bit(changed, taken):
    names = [*taken, *(["digests"] if "NPROC" in changed else [])]
    script = f"from tests.kernels import elsewhere; elsewhere.main(*{names})"
    found = json.loads(printed(script, **changed))
    assert found.pop("digests", digests()) == digests()
    assert {name: count for name, (count, _) in found.items()} == taken
    assert max(worst for _, worst in found.values()) < 1e-5


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
