"""What the kernels compute: held against NumPy in float64 and against XLA's own convolution."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnlab.layers.conv import ConvTranspose
from cnnlab.layers.initialize import Initializer

pytestmark = pytest.mark.usefixtures("in_use")
QUICK = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
EXACT_ENOUGH = 1e-5

LONGEST = {1: 40, 2: 14, 3: 7}


class Case(NamedTuple):
    """A convolution of [batch, *space, groups * channels] to groups * features, padded and strided per axis."""

    batch: int
    space: tuple[int, ...]
    groups: int
    channels: int
    features: int
    window: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]

    def out(self) -> tuple[int, ...]:
        sizes = zip(self.space, self.window, self.stride, self.dilation, self.padding, strict=True)
        return tuple((n + a + b - d * (k - 1) - 1) // s + 1 for n, k, s, d, (a, b) in sizes)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, weights, and a gradient of the output, float32."""
        random = np.random.default_rng(0)
        x = (self.batch, *self.space, self.groups * self.channels)
        w = (*self.window, self.channels, self.groups * self.features)
        y = (self.batch, *self.out(), self.groups * self.features)
        return tuple(random.normal(size=shape).astype(np.float32) for shape in (x, w, y))  # type: ignore[return-value]

    def function(self) -> Callable[[Any, Any], jax.Array]:
        space = "DHW"[3 - len(self.space) :]

        def convolution(x: Any, w: Any) -> jax.Array:
            return jax.lax.conv_general_dilated(
                x,
                w,
                self.stride,
                self.padding,
                rhs_dilation=self.dilation,
                dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
                feature_group_count=self.groups,
            )

        return convolution

    def with_gradients(self) -> Callable[[Any, Any, Any], tuple[Any, Any, Any]]:
        """(x, weights, dy) to (y, dx, dweights); new at each call, so that it is lowered anew."""
        function = self.function()

        def both(x: Any, w: Any, dy: Any) -> tuple[Any, Any, Any]:
            y, pull = jax.vjp(function, x, w)
            return y, *pull(dy)

        return jax.jit(both)

    def oracle(self, x: np.ndarray, w: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(y, dx, dweights) in float64."""
        groups, (channels, features) = self.groups, (self.channels, self.features)
        x64 = np.pad(x.astype(np.float64), [(0, 0), *self.padding, (0, 0)])
        x64 = x64.reshape(*x64.shape[:-1], groups, channels)
        w64 = w.astype(np.float64).reshape(*self.window, channels, groups, features)
        dy64 = dy.astype(np.float64).reshape(*dy.shape[:-1], groups, features)
        y, dx, dw = np.zeros_like(dy64), np.zeros_like(x64), np.zeros_like(w64)
        for tap in itertools.product(*map(range, self.window)):
            starts = [d * t for d, t in zip(self.dilation, tap, strict=True)]
            seen = (
                slice(None),
                *(slice(a, a + s * (m - 1) + 1, s) for a, s, m in zip(starts, self.stride, self.out(), strict=True)),
            )
            y += np.einsum("...gc,cgf->...gf", x64[seen], w64[tap])
            dx[seen] += np.einsum("...gf,cgf->...gc", dy64, w64[tap])
            dw[tap] = np.einsum(
                "ngc,ngf->cgf", x64[seen].reshape(-1, groups, channels), dy64.reshape(-1, groups, features)
            )
        inside = (slice(None), *(slice(a, a + n) for n, (a, _) in zip(self.space, self.padding, strict=True)))
        return y.reshape(dy.shape), dx[inside].reshape(x.shape), dw.reshape(w.shape)


def error(found: Any, true: Any) -> float:
    """The distance in units of the true array's norm."""
    found, true = np.asarray(found, np.float64), np.asarray(true, np.float64)
    assert found.shape == true.shape
    return float(np.linalg.norm(found - true) / max(np.linalg.norm(true), 1e-30))


@st.composite
def cases(draw: st.DrawFn, groups_of: tuple[int, ...] = (1, 1, 1, 2, 3, 8, 17)) -> Case:
    axes = draw(st.integers(1, 3))

    def per_axis(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(axes))

    groups = draw(st.sampled_from(groups_of))
    depthwise = groups > 4 or draw(st.booleans())
    channels, features = (
        (1, draw(st.sampled_from((1, 1, 2)))) if depthwise else (draw(st.integers(1, 20)), draw(st.integers(1, 20)))
    )
    # Of volumes smaller windows: a formula has a term for each of its positions.
    window, stride, dilation = per_axis(1, 5 if axes < 3 else 3), per_axis(1, 3), per_axis(1, 2)
    reach = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    padding = tuple((draw(st.integers(0, r - 1)), draw(st.integers(0, r - 1))) for r in reach)
    space = tuple(max(n, r - a - b, 1) for n, r, (a, b) in zip(per_axis(1, LONGEST[axes]), reach, padding, strict=True))
    return Case(draw(st.integers(1, 5)), space, groups, channels, features, window, stride, dilation, padding)


# Beyond what Hypothesis draws: many channels, many examples, rows cut for two threads, long sums.
LARGE = (
    Case(1, (56, 56), 1, 64, 64, (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1))),
    Case(1, (57, 31), 1, 16, 24, (5, 3), (3, 2), (2, 1), ((4, 3), (1, 0))),
    Case(8, (7, 7), 1, 256, 128, (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1))),
    Case(3, (56, 56), 1, 32, 64, (1, 1), (2, 2), (1, 1), ((0, 0), (0, 0))),
    Case(9, (28, 28), 32, 4, 4, (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1))),
    Case(4, (28, 28), 96, 1, 1, (3, 3), (2, 2), (1, 1), ((1, 1), (1, 1))),
    Case(3, (14, 15), 40, 1, 1, (5, 5), (1, 2), (1, 1), ((2, 2), (2, 2))),
    Case(2, (200,), 37, 1, 1, (9,), (2,), (2,), ((8, 8),)),
    Case(2, (1000,), 1, 12, 40, (9,), (1,), (2,), ((8, 8),)),
    Case(1, (12, 20, 20), 1, 16, 16, (3, 3, 3), (2, 1, 1), (1, 1, 1), ((1, 1),) * 3),
    Case(64, (32, 32), 1, 1, 6, (5, 5), (1, 1), (1, 1), ((2, 2), (2, 2))),
)


# What Hypothesis found: oneDNN would return memory that nobody wrote as one of the gradients.
TREACHEROUS = (
    Case(1, (4, 1, 1), 8, 1, 1, (4, 1, 1), (2, 1, 1), (1, 1, 1), ((3, 2), (0, 0), (0, 0))),
    Case(1, (6, 2, 2), 1, 3, 5, (5, 1, 1), (3, 1, 1), (1, 1, 1), ((4, 1), (0, 0), (0, 0))),
    Case(1, (2, 1, 1), 8, 1, 1, (4, 1, 1), (2, 1, 1), (1, 1, 1), ((3, 1), (0, 0), (0, 0))),
    Case(2, (1,), 1, 6, 17, (3,), (3,), (1,), ((2, 1),)),
    Case(2, (9, 8), 1, 4, 8, (3, 3), (1, 1), (1, 1), ((5, 5), (0, 0))),  # windows that see padding alone
)


def show(case: Case) -> str:
    return f"{case.batch}x{'x'.join(map(str, case.space))}x{case.groups * case.channels}"


def computed(several: list[Case], arrays: list[Any]) -> Any:
    """What `with_gradients` of each makes of its arrays, in one program: to compile many takes most of the time."""
    passes = [case.with_gradients() for case in several]
    return jax.jit(lambda arrays: [run(*each) for run, each in zip(passes, arrays, strict=True)])(arrays)


def check(several: list[Case]) -> None:
    arrays = [case.arrays() for case in several]
    for case, given_, found in zip(several, arrays, computed(several, arrays), strict=True):
        for made, true in zip(found, case.oracle(*given_), strict=True):
            assert error(made, true) < EXACT_ENOUGH, case


@given(st.lists(cases(), min_size=5, max_size=5))
@settings(max_examples=5, **QUICK)
def test_every_convolution_and_its_gradients_agree_with_numpy(several):
    check(several)


@pytest.mark.parametrize("case", TREACHEROUS, ids=show)
def test_where_onednn_would_fail_the_result_is_right(case):
    arrays = case.arrays()
    for made, true in zip(case.with_gradients()(*arrays), case.oracle(*arrays), strict=True):
        assert error(made, true) < EXACT_ENOUGH
    check_bfloat16(case)


@pytest.mark.parametrize("side", [1, 2])
def test_a_map_smaller_than_its_window_is_the_kernel_s_too(side):
    """The last maps of a network for tiny images; one convolution of XLA's own would keep steps out of a loop."""
    case = Case(4, (side, side), 1, 8, 16, (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)))
    assert case.with_gradients().lower(*case.arrays()).as_text().count("custom_call @cnnlab_convolution") == 3
    for made, true in zip(case.with_gradients()(*case.arrays()), case.oracle(*case.arrays()), strict=True):
        assert error(made, true) < EXACT_ENOUGH
    check_bfloat16(case)


@pytest.mark.slow
@given(st.lists(cases(), min_size=10, max_size=10))
@settings(max_examples=30, **QUICK)
def test_many_convolutions_and_their_gradients_agree_with_numpy(several):
    check(several)


@pytest.mark.parametrize("case", LARGE, ids=show)
def test_gradients_errors_against_float64_are_no_worse_than_twice_those_of_xla(case):
    from cnnlab.kernels import lowering

    arrays = case.arrays()
    true = case.oracle(*arrays)
    found = case.with_gradients()(*arrays)
    with lowering.switched(False):
        xla = case.with_gradients()(*arrays)
    for made, exact in zip(found, true, strict=True):
        assert error(made, exact) < EXACT_ENOUGH
    for made, other, exact in zip(found[1:], xla[1:], true[1:], strict=True):
        # Where both are within a few units in the last place, which of them is nearer says nothing.
        assert error(made, exact) <= max(2 * error(other, exact), 3e-7)


@pytest.mark.parametrize("case", LARGE, ids=show)
def test_every_run_gives_the_same_bits(case):
    arrays = case.arrays()
    function = case.with_gradients()
    first = [np.asarray(a).tobytes() for a in function(*arrays)]
    for _ in range(10):
        assert [np.asarray(a).tobytes() for a in function(*arrays)] == first


TRANSPOSED = [
    {"axes": 2, "kernel": 2, "stride": 2},
    {"axes": 2, "kernel": 3, "stride": 2, "padding": "valid"},
    {"axes": 2, "kernel": 4, "stride": 2, "padding": 1},
    {"axes": 2, "kernel": 2, "stride": 3},
    {"axes": 2, "kernel": 3, "stride": 1, "groups": 2},
    {"axes": 2, "kernel": 3, "stride": 2, "groups": 4},
    {"axes": 2, "kernel": 3, "stride": (1, 2), "dilation": 2},
    {"axes": 1, "kernel": 5, "stride": 3},
    {"axes": 3, "kernel": 2, "stride": 2},
]


@pytest.mark.parametrize("options", TRANSPOSED, ids=str)
def test_a_transposed_convolution_and_its_gradients_agree_with_xla(options):
    from cnnlab.kernels import lowering

    layer = ConvTranspose(8, 12, init=Initializer(0), bias=False, **options)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, *(9, 7, 5)[: options["axes"]], 8)), jnp.float32)

    def pure(x, kernel):
        graph, state = nnx.split(layer)

        def run(x, kernel):
            fresh = nnx.merge(graph, {**nnx.to_pure_dict(state), "kernel": kernel})
            return fresh(x)

        y, pull = jax.vjp(run, x, kernel)
        return y, *pull(jnp.sin(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape))

    kernel = jnp.asarray(layer.kernel[...])
    lowered = jax.jit(lambda x, kernel: pure(x, kernel)).lower(x, kernel)
    assert lowered.as_text().count("custom_call @cnnlab_convolution") == 3
    found = lowered.compile()(x, kernel)
    with lowering.switched(False):
        xla = jax.jit(lambda x, kernel: pure(x, kernel))(x, kernel)
    for made, other in zip(found, xla, strict=True):
        assert error(made, other) < EXACT_ENOUGH


SMALL = Case(3, (9, 8), 1, 5, 7, (3, 3), (2, 1), (1, 1), ((1, 1), (1, 1)))
TRANSFORMED = {
    "vmap of maps": lambda f, x, w: jax.vmap(f, (0, None))(jnp.stack([x, 2 * x]), w),
    "vmap of weights": lambda f, x, w: jax.vmap(f, (None, 0))(x, jnp.stack([w, 2 * w])),
    "vmap of both": lambda f, x, w: jax.vmap(f)(jnp.stack([x, 2 * x]), jnp.stack([w, -w])),
    "vmap of gradients": lambda f, x, w: jax.vmap(jax.grad(lambda w, x: (f(x, w) ** 2).sum()), (None, 0))(
        w, jnp.stack([x, 2 * x])
    ),
    "gradient of a gradient": lambda f, x, w: jax.grad(
        lambda w: (jax.grad(lambda x: (f(x, w) ** 3).sum())(x) ** 2).sum()
    )(w),
    "checkpoint": lambda f, x, w: jax.grad(lambda w: (jax.checkpoint(f)(x, w) ** 2).sum())(w),
    "jvp": lambda f, x, w: jax.jvp(f, (x, w), (w.sum() * x, 2 * w))[1],
    "scan": lambda f, x, w: jax.lax.scan(lambda total, x: (total + f(x, w), None), 0 * f(x, w), jnp.stack([x, x]))[0],
    "jit in jit": lambda f, x, w: jax.jit(f)(x, w) + jax.jit(f)(2 * x, w),
}


@pytest.mark.parametrize("transformed", TRANSFORMED.values(), ids=TRANSFORMED)
def test_jax_transforms_it_as_it_does_its_own(transformed):
    from cnnlab.kernels import lowering

    x, w, _ = SMALL.arrays()

    def function():
        convolution = SMALL.function()
        return jax.jit(lambda x, w: transformed(convolution, x, w))

    lowered = function().lower(x, w)
    assert "cnnlab_convolution" in lowered.as_text()
    with lowering.switched(False):
        xla = function()(x, w)
    assert error(lowered.compile()(x, w), xla) < EXACT_ENOUGH


def check_bfloat16(case: Case) -> None:
    x, w, dy = (jnp.asarray(a, jnp.bfloat16) for a in case.arrays())
    found = case.with_gradients()(x, w, dy)
    for made, true in zip(found, case.oracle(*(np.asarray(a, np.float32) for a in (x, w, dy))), strict=True):
        assert made.dtype == jnp.bfloat16
        assert error(made, true) < 2**-7


@given(cases())
@settings(max_examples=10, **QUICK)
def test_bfloat16_agrees_to_its_own_precision(case):
    check_bfloat16(case)


@pytest.mark.parametrize("case", LARGE, ids=show)
def test_long_sums_of_bfloat16_are_float32(case):
    check_bfloat16(case)
