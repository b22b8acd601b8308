"""The algebra of receptive fields along one axis, after Araujo, Norris and Sim, "Computing receptive fields of
convolutional neural networks" (Distill, 2019).

In a chain of windows unit i sees the input positions first + i * stride to last + i * stride. A strided
transposed convolution or an up-sampling makes that alternate with a period, so a field is a period of
intervals. Padding is extrapolated: a unit at the border sees as many positions as one inside, some of them
outside the image.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

Span = tuple[int, int]


@dataclass(frozen=True)
class Field:
    """Unit i sees the positions from spans[r][0] + m * advance to spans[r][1] + m * advance, both included, where
    m, r = divmod(i, len(spans)). A span of None is a unit that sees nothing."""

    spans: tuple[Span | None, ...]
    advance: int

    def at(self, unit: int) -> Span | None:
        """First and last position that `unit`, which may lie outside the map, sees."""
        turns, phase = divmod(unit, len(self.spans))
        span = self.spans[phase]
        return span and (span[0] + turns * self.advance, span[1] + turns * self.advance)

    @property
    def size(self) -> Span:
        """The smallest and the largest number of positions from first to last that a unit sees; 0 if none."""
        sizes = [span[1] - span[0] + 1 for span in self.spans if span] or [0]
        return min(sizes), max(sizes)

    @property
    def stride(self) -> Fraction:
        """How far the field moves from one unit to the next, on average over a period."""
        return Fraction(self.advance, len(self.spans))

    @property
    def center(self) -> Fraction | None:
        """The centre of unit 0's field; of a field that alternates, the average of centre(i) - i * stride."""
        centers = [Fraction(sum(span), 2) - i * self.stride for i, span in enumerate(self.spans) if span]
        return sum(centers, Fraction()) / len(centers) if centers else None


@dataclass(frozen=True)
class Extent:
    """A map of `units` whose `field` lies on an input axis of `positions`; some unit sees something."""

    field: Field
    units: int
    positions: int

    @property
    def size(self) -> Span:
        """As the field's, of the units that there are."""
        return Field(self.field.spans[: self.units], self.field.advance).size

    @property
    def stride(self) -> Fraction:
        return self.field.stride

    @property
    def padding(self) -> Span:
        """How far the first unit's field reaches out before the input, and the last unit's behind it; negative
        where border positions are never seen."""
        last = next(span for span in map(self.field.at, reversed(range(self.units))) if span)
        return -self._first[0], last[1] - (self.positions - 1)

    @property
    def first_center(self) -> Fraction:
        """The centre of the first unit's field."""
        return Fraction(sum(self._first), 2)

    @property
    def _first(self) -> Span:
        return next(span for span in map(self.field.at, range(self.units)) if span)


IDENTITY = Field(((0, 0),), 1)


def window(field: Field, *, size: int, stride: int = 1, dilation: int = 1, before: int = 0) -> Field:
    """What a window sees of a map with `field`: unit i of `size` taps looks at i * stride - before + k * dilation."""
    period = len(field.spans)
    # Taps a whole period apart see the same interval shifted, so only the outermost period at each end counts.
    taps = {*range(min(size, period)), *range(max(size - period, 0), size)}
    new_period = period // gcd(period, stride)
    advance = field.advance * stride * new_period // period
    return _field(
        lambda unit: _union([field.at(unit * stride - before + k * dilation) for k in taps]), new_period, advance
    )


def shift(field: Field, before: int) -> Field:
    """The field after `before` positions were put in front of the map (or cut off, where negative)."""
    return window(field, size=1, before=before)


def dilate(field: Field, factor: int) -> Field:
    """The field after factor - 1 positions that see nothing were put between any two."""
    return _field(
        lambda unit: None if unit % factor else field.at(unit // factor), len(field.spans) * factor, field.advance
    )


def repeat(field: Field, times: int) -> Field:
    """The field after every position was repeated `times` times."""
    return _field(lambda unit: field.at(unit // times), len(field.spans) * times, field.advance)


def fixed(field: Field) -> Field:
    """The field after a map of one unit was broadcast: every unit sees the same, and the stride is 0."""
    return Field((field.at(0),), 0)


def reverse(field: Field, units: int) -> Field:
    """The field after a map of `units` positions was turned round."""
    return _field(lambda unit: field.at(units - 1 - unit), len(field.spans), -field.advance)


def union(one: Field, other: Field) -> Field | None:
    """The smallest field that covers both at every unit; None where they drift apart, having different strides."""
    if one.stride != other.stride:
        return None
    period = lcm(len(one.spans), len(other.spans))
    return _field(lambda unit: _union([one.at(unit), other.at(unit)]), period, int(one.stride * period))


def extent(field: Field, units: int, positions: int) -> Extent | None:
    """The field of a map of `units`; None where the map sees nothing of the input."""
    seen = any(map(field.at, range(min(units, len(field.spans)))))
    return Extent(field, units, positions) if seen else None


def _union(spans: list[Span | None]) -> Span | None:
    seen = [span for span in spans if span]
    return (min(first for first, _ in seen), max(last for _, last in seen)) if seen else None


def _field(at: Callable[[int], Span | None], period: int, advance: int) -> Field:
    """The field that is `at(i)` at every unit i, written with its shortest period."""
    field = Field(tuple(at(unit) for unit in range(period)), advance)
    for shorter in range(1, period):
        if period % shorter == 0 and advance * shorter % period == 0:
            candidate = Field(field.spans[:shorter], advance * shorter // period)
            if all(candidate.at(unit) == field.at(unit) for unit in range(shorter, period)):
                return candidate
    return field
