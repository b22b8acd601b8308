"""Random nets with positive weights, run on real numbers: a unit sees a position if a bump there reaches it."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.receptive_field.fields import receptive_field
from cnnlab.receptive_field.windows import Extent

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
chain_layers = convolutions() | pools | joins


def seen_by(model: nnx.Module, positions: int) -> np.ndarray:
    """[unit, position]: whether a bump at the position, all else zero, reaches the unit in any channel."""
    bumps = jnp.broadcast_to(jnp.eye(positions)[:, :, None], (positions, positions, CHANNELS))
    return np.asarray(model(bumps) > 0).any(axis=-1).T


def check_against_bumps(model: nnx.Module, positions: int) -> Extent:
    """Every unit sees nothing outside its field; one whose field lies in the image sees both of its ends."""
    report = receptive_field(model, (positions, CHANNELS))
    assert report.exact
    assert report.model is not None
    (extent,) = report.model.axes
    assert extent is not None
    interior = 0
    for unit, row in enumerate(seen_by(model, positions)):
        found = np.flatnonzero(row)
        span = extent.field.at(unit)
        assert span is not None
        assert all(span[0] <= position <= span[1] for position in found)
        if span[0] >= 0 and span[1] < positions:
            interior += 1
            assert (found[0], found[-1]) == span
    assert interior or extent.size[1] > positions / 4  # else nothing was compared
    return extent


@settings(max_examples=25, deadline=None)
@given(st.lists(chain_layers, min_size=1, max_size=4))
def test_units_see_what_bumps_reach(layers: list[nnx.Module]):
    check_against_bumps(Net([*layers, Last()]), positions=400)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(same_size_convolutions() | transposed() | st.builds(Upsample, st.integers(2, 3)), min_size=1, max_size=3)
)
def test_units_of_an_up_sampled_map_see_what_bumps_reach(layers: list[nnx.Module]):
    start = Conv(3, 2, 1, (1, 1), 1)
    check_against_bumps(Net([start, *layers, Last()]), positions=60)


@settings(max_examples=8, deadline=None)
@given(st.lists(same_size_convolutions() | joins, min_size=1, max_size=2), st.integers(2, 4))
def test_units_of_a_u_net_see_what_bumps_reach(layers: list[nnx.Module], factor: int):
    inside = Net([Pool("slices", factor, factor), *layers, Conv(factor, 1, 1, (factor - 1,) * 2, 1, factor)])
    outside = Join([inside], identity=True, concatenate=True)
    extent = check_against_bumps(Net([Conv(3, 1, 1, (1, 1), 1), outside, Last()]), positions=60)
    assert extent.stride == 1


def test_a_transposed_convolution_shorter_than_its_stride_leaves_units_that_see_nothing():
    net = Net([Conv(1, 1, 1, (0, 1), 1, spread=2)])
    (extent,) = receptive_field(net, (8, CHANNELS)).layers[0].axes
    assert extent is not None
    assert [extent.field.at(unit) is not None for unit in range(extent.units)] == list(seen_by(net, 8).any(axis=1))
    assert extent.size == (1, 1)
    assert extent.padding == (0, 0)
