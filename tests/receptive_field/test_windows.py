"""The algebra against sets of positions, and against the closed form of Araujo, Norris and Sim (2019)."""

from collections.abc import Callable
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from cnnlab.receptive_field import windows
from cnnlab.receptive_field.windows import IDENTITY, Extent, Field

Seen = Callable[[int], frozenset[int]]  # what a unit sees, position by position
Step = tuple[Callable[[Field], Field], Callable[[Seen], Seen]]

UNITS = range(-9, 10)


def gather(seen: Seen, units: list[int]) -> frozenset[int]:
    return frozenset().union(*map(seen, units))


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """An operation on fields, and the same on sets."""
    kind = draw(st.sampled_from(["window", "dilate", "repeat", "reverse", "shift"]))
    n, before = draw(st.integers(1, 4)), draw(st.integers(-3, 3))
    if kind == "window":
        stride, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 3))
        return (
            lambda field: windows.window(field, size=n, stride=stride, dilation=dilation, before=before),
            lambda seen: lambda i: gather(seen, [i * stride - before + k * dilation for k in range(n)]),
        )
    if kind == "dilate":
        return lambda field: windows.dilate(
            field, n
        ), lambda seen: lambda i: seen(i // n) if i % n == 0 else frozenset()
    if kind == "repeat":
        return lambda field: windows.repeat(field, n), lambda seen: lambda i: seen(i // n)
    if kind == "reverse":
        return lambda field: windows.reverse(field, n), lambda seen: lambda i: seen(n - 1 - i)
    return lambda field: windows.shift(field, before), lambda seen: lambda i: seen(i - before)


def both(path: list[Step]) -> tuple[Field, Seen]:
    field: Field = IDENTITY
    seen: Seen = lambda i: frozenset({i})  # noqa: E731
    for on_field, on_sets in path:
        field, seen = on_field(field), on_sets(seen)
    return field, seen


def hull(positions: frozenset[int]) -> tuple[int, int] | None:
    return (min(positions), max(positions)) if positions else None


@given(st.lists(steps(), max_size=4))
def test_a_path_sees_from_the_first_to_the_last_position_of_its_set(path: list[Step]):
    field, seen = both(path)
    assert [field.at(unit) for unit in UNITS] == [hull(seen(unit)) for unit in UNITS]


@given(st.lists(steps(), max_size=3), st.lists(steps(), max_size=3))
def test_the_union_of_two_paths_covers_both_or_they_drift_apart(one: list[Step], other: list[Step]):
    (a, seen_a), (b, seen_b) = both(one), both(other)
    joined = windows.union(a, b)
    if joined is None:
        assert a.stride != b.stride
    else:
        assert a.stride == b.stride == joined.stride
        assert [joined.at(unit) for unit in UNITS] == [hull(seen_a(unit) | seen_b(unit)) for unit in UNITS]


chains = st.lists(
    st.tuples(st.integers(1, 7), st.integers(1, 3), st.integers(1, 3), st.integers(0, 4)), min_size=1, max_size=8
)


@given(chains)
def test_a_chain_of_windows_has_the_closed_form(chain: list[tuple[int, int, int, int]]):
    """r0 = 1 + sum d (k - 1) S, S0 = prod s, P0 = sum p S with S the product of the strides before a window."""
    field = IDENTITY
    size, jump, padding = 1, 1, 0
    for kernel, stride, dilation, before in chain:
        field = windows.window(field, size=kernel, stride=stride, dilation=dilation, before=before)
        size += dilation * (kernel - 1) * jump
        padding += before * jump
        jump *= stride
    extent = Extent(field, units=5, positions=100)
    assert extent.size == (size, size)
    assert extent.stride == jump
    assert extent.padding == (padding, 4 * jump - padding + size - 1 - 99)
    assert extent.first_center == -padding + Fraction(size - 1, 2)


def test_a_field_keeps_its_shortest_period():
    assert windows.window(windows.repeat(IDENTITY, 2), size=1, stride=2) == IDENTITY
    twice = windows.repeat(windows.window(IDENTITY, size=2, stride=2), 2)
    assert twice == Field(((0, 1), (0, 1)), 2)
    assert windows.window(twice, size=2).spans == ((0, 1), (0, 3))


def test_after_up_sampling_the_stride_is_a_fraction_and_sizes_alternate():
    down = windows.window(IDENTITY, size=3, stride=2, before=1)
    up = windows.window(windows.dilate(down, 2), size=3, before=1)  # a transposed convolution of 3 with stride 2
    extent = Extent(up, units=8, positions=8)
    assert extent.stride == 1
    assert extent.size == (3, 5)
    assert windows.repeat(IDENTITY, 4).stride == Fraction(1, 4)


def test_one_unit_broadcast_is_the_same_field_everywhere():
    field = windows.fixed(windows.window(IDENTITY, size=3, before=1))
    assert field.stride == 0
    assert {field.at(unit) for unit in UNITS} == {(-1, 1)}


def test_the_center_of_an_alternating_field_is_an_average_in_step_with_the_stride():
    assert windows.window(IDENTITY, size=3, before=1).center == 0
    assert windows.window(IDENTITY, size=2).center == Fraction(1, 2)
    # Each of two positions is the average of both: unit 0 sees half a position too far behind, unit 1 before.
    assert windows.repeat(windows.window(IDENTITY, size=2, stride=2), 2).center == 0


def test_a_map_that_sees_nothing_has_no_extent():
    nothing = windows.window(windows.dilate(IDENTITY, 2), size=1, stride=2, before=1)
    assert nothing.center is None
    assert windows.extent(nothing, units=4, positions=4) is None
    half = windows.dilate(IDENTITY, 2)
    assert windows.extent(half, units=4, positions=4) == Extent(half, 4, 4)


def test_units_that_see_nothing_do_not_count_for_size_padding_and_center():
    extent = Extent(windows.shift(windows.dilate(IDENTITY, 3), 1), units=6, positions=2)
    assert [extent.field.at(unit) for unit in range(6)] == [None, (0, 0), None, None, (1, 1), None]
    assert extent.size == (1, 1)
    assert extent.padding == (0, 0)
    assert extent.first_center == 0
