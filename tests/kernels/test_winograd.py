"""3x3 windows in fewer products: held against NumPy in double precision, and what is told to go another way."""

import ctypes
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnlab.kernels import build
from cnnlab.kernels.problem import FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT, Problem
from tests.kernels.test_agreement import EXACT_ENOUGH, Case, error
from tests.kernels.test_convolution import arrays, function, oracle

pytestmark = pytest.mark.usefixtures("in_use")
PLAIN = Problem(
    kind=FORWARD,
    batch=8,
    groups=1,
    channels=64,
    features=96,
    source=(14, 14),
    target=(14, 14),
    window=(3, 3),
    stride=(1, 1),
    dilation=(1, 1),
    pad=(1, 1),
    weight_strides=(0, 1, 96, 3 * 64 * 96, 64 * 96),
    operand="float32",
    result="float32",
)


def implementation(problem: Problem, threads: int = 2) -> str:
    numbers, said = problem.numbers(), ctypes.create_string_buffer(256)
    build.load().cnnlab_convolution_probe((ctypes.c_int64 * len(numbers))(*numbers), threads, said, len(said))
    return said.value.decode()


@pytest.mark.parametrize("problem", [
    PLAIN,
    replace(PLAIN, kind=WEIGHT_GRADIENT),
    replace(PLAIN, after=1, residual=True),
    replace(PLAIN, after=2),
    replace(PLAIN, pad=(0, 2), target=(12, 16)),
    replace(PLAIN, batch=1, source=(56, 56), target=(56, 56)),
    replace(PLAIN, channels=512, features=512, source=(4, 4), target=(4, 4), batch=64),
], ids=str)  # fmt: skip
def test_where_it_is_faster_it_is_taken(problem):
    assert implementation(problem) == "own:winograd"


@pytest.mark.parametrize("problem", [
    replace(PLAIN, kind=INPUT_GRADIENT),
    replace(PLAIN, after=3),
    replace(PLAIN, operand="bfloat16", result="bfloat16"),
    replace(PLAIN, operand="bfloat16"),
    replace(PLAIN, channels=72),
    replace(PLAIN, features=88),
    replace(PLAIN, channels=16, features=16, source=(5, 5), target=(5, 5)),
    replace(PLAIN, groups=2, weight_strides=(48, 1, 96, 3 * 32 * 96, 32 * 96)),
    replace(PLAIN, dilation=(2, 2), pad=(2, 2)),
    replace(PLAIN, stride=(2, 1), target=(7, 14)),
    replace(PLAIN, window=(3, 1), pad=(1, 0)),
    replace(PLAIN, source=(3, 3), target=(3, 3)),
    replace(PLAIN, source=(3, 3), target=(1, 1), pad=(0, 0)),
], ids=str)  # fmt: skip
def test_elsewhere_it_is_not(problem):
    assert implementation(problem) != "own:winograd"


@st.composite
def cases(draw: st.DrawFn) -> Case:
    padding = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(2))
    space = tuple(draw(st.integers(3, 23)) for _ in range(2))
    channels, features = (draw(st.sampled_from((32, 48, 64, 80, 144))) for _ in range(2))
    return Case(draw(st.integers(1, 9)), space, 1, channels, features, (3, 3), (1, 1), (1, 1), padding)


@given(cases())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_convolution_and_its_gradients_agree_with_numpy(case):
    operands = case.arrays()
    for made, true in zip(case.with_gradients()(*operands), case.oracle(*operands), strict=True):
        assert error(made, true) < EXACT_ENOUGH


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("activation", ["identity", "relu"])
def test_what_comes_after_agrees_with_numpy(activation, residual):
    case = Case(3, (13, 14), 1, 64, 80, (3, 3), (1, 1), (1, 1), ((1, 1), (2, 0)))
    operands = arrays(case)
    found = function(case, activation, residual)(*operands)
    assert error(found, oracle(case, activation, residual, *operands)) < EXACT_ENOUGH


LONG = Case(16, (64, 64), 1, 32, 32, (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)))


def test_long_sums_lose_no_digits():
    """65,536 places in a weight's gradient, whose mean is far from 0."""
    x, w, dy = LONG.arrays()
    x, dy = x + 3, dy + 3
    for made, true in zip(LONG.with_gradients()(x, w, dy), LONG.oracle(x, w, dy), strict=True):
        assert error(made, true) < EXACT_ENOUGH


def test_an_example_is_the_same_in_any_batch_and_knows_nothing_of_the_others():
    case = Case(9, (11, 12), 1, 64, 64, (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)))
    x, w, dy = case.arrays()
    whole, dx, _ = (np.asarray(a) for a in case.with_gradients()(x, w, dy))
    x[4] = np.nan
    part, dx_of_part, _ = (np.asarray(a) for a in case.with_gradients()(x[3:], w, dy[3:]))
    assert np.isnan(part[1]).all()
    for i, j in ((3, 0), (5, 2), (8, 5)):
        np.testing.assert_array_equal(whole[i], part[j])
        np.testing.assert_array_equal(dx[i], dx_of_part[j])


def test_a_nan_stays_one_behind_a_relu_and_goes_no_further_than_its_tiles():
    case = Case(8, (12, 12), 1, 64, 64, (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)))
    operands = list(arrays(case))
    operands[0] = operands[0].at[0, 6, 6, 5].set(jnp.nan)
    found = np.isnan(np.asarray(function(case, "relu", False)(*operands)))
    assert found[0, 5:8, 5:8].all()
    assert not found[1:].any()
    assert found.any(-1).sum() <= 16
