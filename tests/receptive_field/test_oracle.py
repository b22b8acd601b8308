"""Random nets with positive weights, run on real numbers: a unit sees a position if a bump there reaches it."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cnnlab.receptive_field.fields import receptive_field
from cnnlab.receptive_field.report import Layer
from cnnlab.trace.walk import trace

CHANNELS = 2


class Conv(nnx.Module):
    """A convolution with ones for weights; `spread` dilates the input, as a transposed convolution does."""

    def __init__(self, kernel: int, stride: int, dilation: int, padding: tuple[int, int], groups: int, spread: int = 1):
        self.weights = nnx.Param(jnp.ones((kernel, CHANNELS // groups, CHANNELS)))
        self.stride, self.dilation, self.padding = (stride,), (dilation,), (padding,)
        self.groups, self.spread = groups, (spread,)

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(
            x,
            self.weights[...],
            self.stride,
            self.padding,
            lhs_dilation=self.spread,
            rhs_dilation=self.dilation,
            dimension_numbers=("NWC", "WIO", "NWC"),
            feature_group_count=self.groups,
        )


class Pool(nnx.Module):
    """Pooling as reduce_window, as a maximum over strided slices, or as a reshape and a maximum."""

    def __init__(self, way: str, size: int, stride: int):
        self.way, self.size, self.stride = way, size, stride

    def __call__(self, x: jax.Array) -> jax.Array:
        if self.way == "max":
            return nnx.max_pool(x, (self.size,), (self.stride,))
        if self.way == "average":
            return nnx.avg_pool(x, (self.size,), (self.stride,), ((self.size // 2, self.size // 2),))
        if self.way == "reshape":
            blocks = x.shape[1] // self.size
            return x[:, : blocks * self.size].reshape(x.shape[0], blocks, self.size, x.shape[2]).max(2)
        last = x.shape[1] - self.size
        slices = [x[:, k : last + k + 1 : self.stride] for k in range(self.size)]
        result = slices[0]
        for part in slices[1:]:
            result = jnp.maximum(result, part)
        return result


class Upsample(nnx.Module):
    def __init__(self, factor: int):
        self.factor = factor

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.repeat(x, self.factor, axis=1)


class Join(nnx.Module):
    """Paths side by side, added or joined over channels; `identity` is a path too."""

    def __init__(self, paths: Sequence[nnx.Module], *, identity: bool, concatenate: bool):
        self.paths, self.identity, self.concatenate = nnx.List(paths), identity, concatenate

    def __call__(self, x: jax.Array) -> jax.Array:
        results = [path(x) for path in self.paths] + ([x] if self.identity else [])
        if not self.concatenate:
            return sum(results[1:], results[0])
        joined = jnp.concatenate(results, axis=-1)
        return joined.reshape(*joined.shape[:2], -1, CHANNELS).sum(2)  # back to CHANNELS


class Net(nnx.Module):
    def __init__(self, layers: Sequence[nnx.Module]):
        self.layers = nnx.List(layers)

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers:
            x = layer(x)
        return x


class Last(nnx.Module):
    """A last leaf layer, so that what was joined before it has a row."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return x


class Apply(nnx.Module):
    def __init__(self, function: Callable):
        self.function = function

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.function(x)


def cut(low: int, high: int) -> Apply:
    return Apply(lambda x: x[:, low : x.shape[1] - high])


def resized(size: int, method: str) -> Apply:
    return Apply(lambda x: jax.image.resize(x, (x.shape[0], size, x.shape[2]), method))


@st.composite
def same_size_convolutions(draw: st.DrawFn) -> Conv:
    kernel, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 2))
    total = dilation * (kernel - 1)
    before = draw(st.integers(0, total))
    return Conv(kernel, 1, dilation, (before, total - before), draw(st.sampled_from([1, CHANNELS])))


@st.composite
def convolutions(draw: st.DrawFn) -> Conv:
    kernel = draw(st.integers(1, 4))
    padding = (draw(st.integers(0, 3)), draw(st.integers(0, 3)))
    groups = draw(st.sampled_from([1, CHANNELS]))
    return Conv(kernel, draw(st.integers(1, 3)), draw(st.integers(1, 2)), padding, groups)


@st.composite
def transposed(draw: st.DrawFn) -> Conv:
    spread = draw(st.integers(2, 3))
    kernel = draw(st.integers(spread, 4))  # smaller ones leave holes, which have a test of their own
    return Conv(kernel, 1, 1, (kernel - 1, kernel - 1), 1, spread)


pools = st.builds(
    Pool, st.sampled_from(["max", "average", "slices"]), st.integers(1, 3), st.integers(1, 3)
) | st.builds(lambda size: Pool("reshape", size, size), st.integers(1, 3))
joins = st.builds(
    lambda paths, identity: Join(paths, identity=identity, concatenate=False),
    st.lists(same_size_convolutions(), min_size=1, max_size=3),
    st.booleans(),
)
pads = st.sampled_from(["constant", "reflect", "edge", "wrap"]).map(
    lambda mode: Apply(lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, 0)), mode=mode))
)
cuts = st.builds(cut, st.integers(0, 2), st.integers(0, 2))
chain_layers = convolutions() | pools | joins | pads | cuts


def seen_by(model: nnx.Module, positions: int) -> np.ndarray:
    """[unit, position]: whether a large bump at the position, all else zero, reaches the unit in any channel."""
    bumps = jnp.broadcast_to(jnp.eye(positions)[:, :, None], (positions, positions, CHANNELS))
    return np.asarray(model(1000 * bumps) > 0).any(axis=-1).T


def check_against_bumps(model: nnx.Module, positions: int) -> Layer:
    """Every unit, at the borders too, sees from the first to the last position that reach it, and depends on those."""
    report = receptive_field(model, (positions, CHANNELS))
    assert report.exact, report.treated_as_global
    row = report.model
    assert row is not None
    assert row.units is not None
    seen = seen_by(model, positions)
    assert row.units.sizes == (len(seen),)
    for unit, expected in enumerate(seen):
        found = np.flatnonzero(expected)
        assert row.interval((unit,)) == (((found[0], found[-1]),) if len(found) else None)
    center = row.units.center
    np.testing.assert_array_equal(row.units.support(center), seen[center[0]])
    if seen[center[0]].any():
        ((first, last),) = row.interval(center)
        assert row.density == seen[center[0]].sum() / (last - first + 1)
        assert row.seen == (last - first + 1) / positions
    unseen = {i for first, last in report.unused[0] for i in range(first, last + 1)}
    assert unseen == set(np.flatnonzero(~seen.any(axis=0)))
    (axis,) = row.axes
    assert axis is not None
    return row


@settings(max_examples=25, deadline=None)
@given(st.lists(chain_layers, min_size=1, max_size=4), st.integers(60, 70))
def test_units_see_what_bumps_reach(layers: list[nnx.Module], positions: int):
    net = Net([*layers, Last()])
    # Of a few units it cannot be told what is a border and what a block.
    assume(min(layer.output_shape[0] for layer in trace(net, (positions, CHANNELS)).calls) > 3)
    check_against_bumps(net, positions)


enlarging = same_size_convolutions() | transposed() | st.builds(Upsample, st.integers(2, 3))


@settings(max_examples=10, deadline=None)
@given(st.lists(enlarging, min_size=1, max_size=3))
def test_units_of_an_up_sampled_map_see_what_bumps_reach(layers: list[nnx.Module]):
    check_against_bumps(Net([Conv(3, 2, 1, (1, 1), 1), *layers, Last()]), positions=30)


@settings(max_examples=8, deadline=None)
@given(st.lists(same_size_convolutions() | joins, min_size=1, max_size=2), st.integers(2, 4))
def test_units_of_a_u_net_see_what_bumps_reach(layers: list[nnx.Module], factor: int):
    inside = Net([Pool("slices", factor, factor), *layers, Conv(factor, 1, 1, (factor - 1,) * 2, 1, factor)])
    outside = Join([inside], identity=True, concatenate=True)
    row = check_against_bumps(Net([Conv(3, 1, 1, (1, 1), 1), outside, Last()]), positions=60)
    assert row.axes[0] is not None
    assert row.axes[0].stride == 1


@settings(max_examples=8, deadline=None)
@given(st.integers(3, 45), st.sampled_from(["nearest", "linear"]), same_size_convolutions())
def test_units_of_a_resized_map_see_what_bumps_reach(size: int, method: str, after: Conv):
    check_against_bumps(Net([Conv(3, 1, 1, (1, 1), 1), resized(size, method), after, Last()]), positions=20)


def test_a_transposed_convolution_shorter_than_its_stride_leaves_units_that_see_nothing():
    net = Net([Conv(1, 1, 1, (0, 1), 1, spread=2)])
    row = check_against_bumps(net, 8)
    assert [row.interval((unit,)) is not None for unit in range(16)] == list(seen_by(net, 8).any(axis=1))
    (axis,) = row.axes
    assert axis is not None
    assert (axis.size, axis.padding) == ((1, 1), (0, 0))


# Two axes.


def plane(kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], low: tuple[int, int]) -> Apply:
    """A convolution of ones over two axes; `low` is the padding before, behind it is as for the same size."""
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    beside = [(min(a, t), t - min(a, t)) for a, t in zip(low, total, strict=True)]
    ones = jnp.ones((*kernel, CHANNELS, CHANNELS))
    return Apply(
        lambda x: jax.lax.conv_general_dilated(
            x, ones, stride, beside, rhs_dilation=dilation, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    )


twos = st.tuples(st.integers(1, 2), st.integers(1, 2))
threes = st.tuples(st.integers(1, 3), st.integers(1, 3))
planes = st.builds(plane, threes, twos, twos, twos)
parallel = st.lists(st.builds(plane, threes, st.just((1, 1)), twos, twos), min_size=2, max_size=3).map(
    lambda paths: Join(paths, identity=False, concatenate=False)
)


@settings(max_examples=10, deadline=None)
@given(st.lists(planes | parallel, min_size=1, max_size=3))
def test_units_of_a_plane_see_what_bumps_reach(layers: list[nnx.Module]):
    height, width = 9, 8
    net = Net([*layers, Last()])
    row = receptive_field(net, (height, width, CHANNELS)).model
    assert row is not None
    assert row.units is not None
    pixels = jnp.eye(height * width).reshape(-1, height, width, 1)
    seen = np.asarray(net(1000 * jnp.broadcast_to(pixels, (*pixels.shape[:3], CHANNELS))) > 0).any(axis=-1)
    assert row.units.sizes == seen.shape[1:]
    for unit in np.ndindex(seen.shape[1:]):
        expected = seen[:, unit[0], unit[1]].reshape(height, width)
        rows, columns = (np.flatnonzero(expected.any(axis=axis)) for axis in (1, 0))
        found = row.interval(unit)
        assert found == (((rows[0], rows[-1]), (columns[0], columns[-1])) if len(rows) else None)
        np.testing.assert_array_equal(row.units.support(unit), expected)
    center = row.units.center
    if found := row.interval(center):
        box = np.prod([last - first + 1 for first, last in found])
        assert row.density == seen[:, center[0], center[1]].sum() / box
