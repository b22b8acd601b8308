"""Plain formulas in the place of XLA's convolutions: held against NumPy in float64 and against XLA's own."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnlab.kernels import lowering, plain
from cnnlab.kernels.sums import sum_by_product
from cnnlab.layers.conv import ConvTranspose
from cnnlab.layers.initialize import Initializer
from tests.kernels.test_agreement import TRANSFORMED, Case, cases, computed, error, show

QUICK = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
FLAT = ((1, 1), (1, 1))


@pytest.fixture(autouse=True)
def formulas(enabled: Any) -> Iterator[None]:
    """As on a machine without the kernels."""
    if jax.default_backend() != "cpu":
        pytest.skip("formulas are for the CPU")
    plain.install()
    with lowering.switched(True, native=False):
        yield


def pointwise(case: Case) -> Case:
    ones = (1,) * len(case.space)
    return case._replace(groups=1, window=ones, dilation=ones, padding=((0, 0),) * len(ones))


with_formula = st.one_of(cases((2, 3, 8, 17)), cases((1,)).map(pointwise))
several = st.lists(with_formula, min_size=5, max_size=5)


def check(several: list[Case], dtype: str, bound: float) -> None:
    """Values and gradients, in units of what they would be if nothing in their sums cancelled."""
    arrays = [[jnp.asarray(a, dtype) for a in case.arrays()] for case in several]
    for case, given_, found in zip(several, arrays, computed(several, arrays), strict=True):
        exact = [np.asarray(a, np.float64) for a in given_]
        for made, right, size in zip(found, case.oracle(*exact), case.oracle(*map(np.abs, exact)), strict=True):
            assert made.dtype == dtype
            assert made.shape == right.shape
            assert np.linalg.norm(np.asarray(made, np.float64) - right) <= bound * np.linalg.norm(size), case


@given(several)
@settings(max_examples=2, **QUICK)
def test_values_and_gradients_agree_with_numpy(several):
    check(several, "float32", 1e-6)


@given(several)
@settings(max_examples=2, **QUICK)
def test_double_precision_stays_double(several):
    with jax.enable_x64(True):
        check(several, "float64", 1e-14)


@given(several)
@settings(max_examples=2, **QUICK)
def test_bfloat16_agrees_to_its_own_precision(several):
    check(several, "bfloat16", 2**-8)


@pytest.mark.slow
@given(several, st.sampled_from([("float32", 1e-6), ("float64", 1e-14), ("bfloat16", 2**-8)]))
@settings(max_examples=20, **QUICK)
def test_many_values_and_gradients_agree_with_numpy(several, precision):
    with jax.enable_x64(precision[0] == "float64"):
        check(several, *precision)


LARGE = (
    Case(9, (28, 28), 32, 4, 4, (3, 3), (1, 1), (1, 1), FLAT),
    Case(3, (14, 14), 101, 2, 3, (3, 3), (2, 2), (1, 1), FLAT),
    Case(17, (28, 28), 96, 1, 1, (3, 3), (2, 2), (1, 1), FLAT),
    Case(8, (14, 14), 40, 1, 1, (5, 5), (1, 1), (1, 1), ((2, 2), (2, 2))),
    Case(1, (40, 40), 24, 1, 2, (3, 3), (1, 1), (2, 2), ((2, 2), (2, 2))),
    Case(8, (28, 28), 1, 64, 96, (1, 1), (2, 2), (1, 1), ((0, 0), (0, 0))),
)


@pytest.mark.parametrize("case", LARGE, ids=show)
def test_gradients_errors_against_float64_are_no_worse_than_twice_those_of_xla(case):
    arrays = case.arrays()
    true, found = case.oracle(*arrays), case.with_gradients()(*arrays)
    with lowering.switched(False):
        xla = case.with_gradients()(*arrays)
    for made, other, exact in zip(found, xla, true, strict=True):
        assert error(made, other) < 1e-5
        # Where both are within a few units in the last place, which of them is nearer says nothing.
        assert error(made, exact) <= max(2 * error(other, exact), 3e-7)


def text(function: Callable[..., Any], *arguments: Any) -> str:
    return jax.jit(lambda *a: function(*a)).lower(*arguments).as_text()


GROUPED = Case(2, (9, 8), 8, 4, 4, (3, 3), (1, 1), (1, 1), FLAT)
CONVOLUTIONS = {
    # In the forward pass, the input's and the weights' gradient: runs of 4 groups; none; XLA's own but for the last.
    "grouped": (GROUPED, 6),
    "depthwise": (GROUPED._replace(channels=1, features=1), 0),
    "depthwise, strided": (GROUPED._replace(channels=1, features=2, stride=(2, 1)), 0),
    "pointwise": (pointwise(GROUPED), 2),
}


@pytest.mark.parametrize(("case", "count"), CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_what_xla_is_left_with(case, count):
    both, arrays = case.with_gradients(), case.arrays()
    lowered = text(both, *arrays)
    assert lowered.count("stablehlo.convolution") == count
    assert lowered.count("feature_group_count = 1 ") == count
    assert [e.primitive.name for e in jax.make_jaxpr(case.function())(*arrays[:2]).eqns] == ["conv_general_dilated"]


def test_what_has_no_formula_is_xlas_own():
    whole = GROUPED._replace(groups=1)
    crossed = GROUPED._replace(padding=((5, 5), (0, 0)))  # windows of padding alone
    for function, arrays in (
        (whole.with_gradients(), whole.arrays()),
        (crossed.function(), crossed.arrays()[:2]),
        (GROUPED.function(), [a.astype(np.int32) for a in GROUPED.arrays()[:2]]),
    ):
        ours = text(function, *arrays)
        with lowering.switched(False):
            assert text(function, *arrays) == ours


def test_what_is_exported_is_xlas_own():
    x, w, _ = GROUPED.arrays()
    exported = jax.export.export(jax.jit(GROUPED.function()))
    symbolic = jax.ShapeDtypeStruct(jax.export.symbolic_shape("n, 9, 8, 32"), jnp.float32)
    for first in (x, symbolic):
        assert "feature_group_count = 8 " in exported(first, w).mlir_module()


@pytest.mark.parametrize("transformed", TRANSFORMED.values(), ids=TRANSFORMED)
def test_jax_transforms_it_as_it_does_its_own(transformed):
    case = Case(3, (6, 5), 6, 2, 2, (3, 3), (2, 1), (1, 1), FLAT)
    x, w, _ = case.arrays()
    convolution = case.function()
    found = jax.jit(lambda x, w: transformed(convolution, x, w))(x, w)
    with lowering.switched(False):
        xla = jax.jit(lambda x, w: transformed(convolution, x, w))(x, w)
    assert error(found, xla) < 1e-5


@pytest.mark.parametrize("features", [8, 16])
@pytest.mark.parametrize("groups", [4, 8])
def test_a_transposed_convolution_and_its_gradients_agree_with_xla(groups, features):
    layer = ConvTranspose(8, features, 3, axes=2, stride=(2, 1), groups=groups, bias=False, init=Initializer(0))
    graph, state = nnx.split(layer)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 9, 7, 8)), jnp.float32)

    def both(x, kernel):
        y, pull = jax.vjp(lambda x, kernel: nnx.merge(graph, {"kernel": kernel})(x), x, kernel)
        return y, *pull(jnp.cos(y))

    kernel = nnx.to_pure_dict(state)["kernel"]
    assert "feature_group_count = 4 " not in text(both, x, kernel)
    found = jax.jit(lambda *a: both(*a))(x, kernel)
    with lowering.switched(False):
        xla = jax.jit(lambda *a: both(*a))(x, kernel)
    for made, other in zip(found, xla, strict=True):
        assert error(made, other) < 1e-5


@pytest.mark.parametrize("shape", [(5,), (1, 1, 5), (7, 3, 2), (8, 4), (1, 29, 3), (64, 6, 5, 3), (67, 2, 8)])
def test_sums_of_channels(shape):
    terms = np.random.default_rng(0).normal(size=shape) + 1000
    if terms.ndim == 1:
        terms = terms[:, None]
    found = jax.jit(sum_by_product)(jnp.asarray(terms, jnp.float32))
    np.testing.assert_allclose(found, terms.sum(tuple(range(terms.ndim - 1))), rtol=1e-6)


def test_a_jax_without_the_compilers_option_does_without(monkeypatch):
    used = plain.compiler_options()
    plain.compiler_options.cache_clear()
    unknown = jax.errors.JaxRuntimeError("No such compile option")
    monkeypatch.setattr(jax, "jit", lambda *a, **k: (_ for _ in ()).throw(unknown))
    assert plain.compiler_options() == {}
    monkeypatch.undo()
    plain.compiler_options.cache_clear()
    assert plain.compiler_options() == used
