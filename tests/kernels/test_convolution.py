"""A convolution with what follows it, by oneDNN and plainly, against NumPy in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnlab.kernels.convolution import ACTIVATIONS, Windows, convolution
from tests.kernels.test_agreement import EXACT_ENOUGH, LARGE, Case, cases, error, show

TARGET = "custom_call @cnnlab_convolution_after"


def arrays(case, dtype="float32"):
    """x, kernel, factor, bias, residual."""
    x, kernel, residual = case.arrays()
    random = np.random.default_rng(1)
    factor, bias = (jnp.asarray(random.normal(size=kernel.shape[-1]), jnp.float32) for _ in range(2))
    return jnp.asarray(x, dtype), jnp.asarray(kernel), factor, bias, jnp.asarray(residual, dtype)


def function(case, activation, residual):
    """A new one each time: JAX keeps what it has lowered."""
    windows = Windows(case.stride, case.padding, case.dilation, case.groups)
    return jax.jit(
        lambda x, kernel, factor, bias, added: convolution(
            x, kernel, factor, bias, windows, activation, added if residual else None
        )
    )


def oracle(case, activation, residual, x, kernel, factor, bias, added):
    x, kernel, factor, bias, added = (
        np.asarray(a.astype(jnp.float32), np.float64) for a in (x, kernel, factor, bias, added)
    )
    z = case.oracle(x, kernel, added)[0] * factor + bias + residual * added
    sigmoid = 1 / (1 + np.exp(-z))
    made = {"identity": z, "relu": np.maximum(z, 0), "swish": z * sigmoid, "tanh": np.tanh(z), "sigmoid": sigmoid}
    return made[activation]


def check(case, activation, residual, dtype):
    operands = arrays(case, dtype)
    y = function(case, activation, residual)(*operands)
    assert y.dtype == dtype
    enough = EXACT_ENOUGH if dtype == "float32" else 2**-7
    assert error(y.astype(jnp.float32), oracle(case, activation, residual, *operands)) < enough


@given(
    case=cases(),
    activation=st.sampled_from(list(ACTIVATIONS)),
    residual=st.booleans(),
    dtype=st.sampled_from(["float32", "float32", "bfloat16"]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_is_what_double_precision_makes(in_use, case, activation, residual, dtype):
    check(case, activation, residual, dtype)


@pytest.mark.parametrize("case", LARGE, ids=show)
@pytest.mark.usefixtures("in_use")
def test_large_ones_are_one_call_and_give_the_same_bits_every_time(case):
    for activation, residual in (("relu", False), ("swish", True), ("tanh", False), ("sigmoid", True)):
        check(case, activation, residual, "bfloat16")
        check(case, activation, residual, "float32")
    operands = arrays(case)
    run = function(case, "swish", True)
    assert run.lower(*operands).as_text().count(TARGET) == 1
    first = np.asarray(run(*operands)).tobytes()
    assert all(np.asarray(run(*operands)).tobytes() == first for _ in range(5))


SMALL = Case(2, (9, 8), 1, 5, 7, (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)))


@pytest.mark.usefixtures("in_use")
def test_a_map_that_others_read_too_is_left_alone():
    """The result is written over the map that is added; XLA has to copy it first where it is needed once more."""
    windows = Windows(SMALL.stride, SMALL.padding, SMALL.dilation, SMALL.groups)
    x, kernel, factor, bias, added = arrays(SMALL)

    def run(x, added):
        there = added + 1
        return convolution(x, kernel, factor, bias, windows, "relu", there), there

    assert error(jax.jit(run)(x, added)[1], added + 1) == 0


def test_without_kernels_and_in_double_precision_it_is_the_plain_form(in_use):
    from cnnlab.kernels import lowering

    operands = arrays(SMALL)
    expected = oracle(SMALL, "swish", True, *operands)
    with lowering.switched(False):
        run = function(SMALL, "swish", True).lower(*operands)
        assert TARGET not in run.as_text()
        assert error(run.compile()(*operands), expected) < 1e-6
    with jax.enable_x64(True):
        wide = [jnp.asarray(np.asarray(a), jnp.float64) for a in operands]
        assert error(function(SMALL, "swish", True)(*wide), expected) < 1e-12


def test_what_jax_makes_of_it(in_use):
    operands = arrays(SMALL)
    run = function(SMALL, "swish", True)
    mapped = jax.vmap(run, (0, None, None, None, 0))(*(jnp.stack([a, a]) for a in operands[:1]), *operands[1:4],
                                                      jnp.stack([operands[4]] * 2))  # fmt: skip
    assert error(mapped[1], run(*operands)) < 1e-6
    with jax.disable_jit():
        assert error(function(SMALL, "swish", True)(*operands), run(*operands)) < 1e-6
