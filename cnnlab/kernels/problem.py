"""What a `conv_general_dilated` of JAX is for oneDNN: a convolution, its input's gradient or its weights' gradient.

JAX has one primitive for all of them: a gradient is again a convolution, of dilated or of transposed operands. Here
each is told apart by its parameters and described as the forward convolution that it belongs to.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT = range(3)
TYPES = {"float32": 0, "bfloat16": 1}
Shape = tuple[int, ...]


class Dimensions(NamedTuple):
    """Where an operand's dimensions are, in the order of JAX's `ConvDimensionNumbers`.

    (batch, feature, *space) for maps, (output feature, input feature, *window) for weights.
    """

    lhs: Shape
    rhs: Shape
    out: Shape


def layout(axes: int) -> tuple[str, str, str]:
    """How maps [batch, *space, channel] and weights [*window, channel, feature] lie, as JAX's convolution has it."""
    space = "DHW"[3 - axes :]
    return f"N{space}C", f"{space}IO", f"N{space}C"


@dataclass(frozen=True)
class Problem:
    """One of the three kinds of work of source [batch, *in, channels], weights, target [batch, *out, features].

    `weight_strides` counts elements from one to the next group, feature within its group, channel within its group,
    and position along each axis of the window: so weights need no one order. `pad` is what stands before the source.
    `after` numbers what follows a convolution in evaluation, 0 is nothing; `residual`: a map is added before that.
    """

    kind: int
    batch: int
    groups: int
    channels: int
    features: int
    source: Shape
    target: Shape
    window: Shape
    stride: Shape
    dilation: Shape
    pad: Shape
    weight_strides: Shape
    operand: str
    result: str
    after: int = 0
    residual: bool = False

    def numbers(self) -> list[int]:
        """The problem in the order of the struct of that name in convolution.cc."""
        found = [self.kind, len(self.window), self.batch, self.groups, self.channels, self.features]
        for per_axis in (self.source, self.target, self.window, self.stride, self.dilation, self.pad):
            found += [*per_axis, *(0,) * (3 - len(per_axis))]
        found += [*self.weight_strides, *(0,) * (6 - len(self.weight_strides))]
        return [*found, TYPES[self.operand], TYPES[self.result], self.after, int(self.residual)]

    def is_plain(self) -> bool:
        """Whether the numbers make a convolution as oneDNN knows it: no window that sees nothing but padding."""
        if min(self.batch, self.channels, self.features, *self.source, *self.target, *self.window) < 1:
            return False
        if self.channels % self.groups or self.features % self.groups:
            return False
        axes = zip(self.source, self.target, self.window, self.stride, self.dilation, self.pad, strict=True)
        for n, m, k, s, d, low in axes:
            reach = d * (k - 1) + 1
            high = max(0, (m - 1) * s + reach - n - low)
            if not (0 <= low < reach and high < reach and (n + low + high - reach) // s + 1 == m):
                return False
            # Where the first window that begins within the map does not end there, oneDNN 3.2 returns memory that
            # nobody wrote in some weights' gradients; and it dies while it prepares some bfloat16 convolutions with
            # windows wider than the map. See `padded`.
            inside = -(-low // s) * s - low + reach <= n
            if (self.kind == WEIGHT_GRADIENT and not inside) or (self.operand == "bfloat16" and reach > n):
                return False
        return True

    def around(self) -> tuple[tuple[int, int], ...]:
        """What stands before and behind the source on each axis, as far as windows reach."""
        axes = zip(self.source, self.target, self.window, self.stride, self.dilation, self.pad, strict=True)
        return tuple((low, max(0, (m - 1) * s + d * (k - 1) + 1 - n - low)) for n, m, k, s, d, low in axes)

    def padded(self) -> "Problem":
        """The same of a source that has its zeros around it: no window lies outside of that."""
        source = tuple(n + low + high for n, (low, high) in zip(self.source, self.around(), strict=True))
        return replace(self, source=source, pad=(0,) * len(source))


@dataclass(frozen=True)
class Call:
    """A problem, and what JAX's operands lack for it.

    `swapped`: the right operand is the source. `reversed_weights`: the window's axes of the weights, taken or made,
    run the other way than the problem's. `around`: zeros that the source must be given, on each axis of space.
    """

    problem: Problem
    swapped: bool = False
    reversed_weights: bool = False
    around: tuple[tuple[int, int], ...] = ()

    def trusted(self) -> "Call | None":
        """The call as oneDNN can be trusted with it, if it can be."""
        if self.problem.is_plain():
            return self
        inside = replace(self, problem=self.problem.padded(), around=self.problem.around())
        numbers = (n for pair in inside.around for n in pair)
        # Maps as small as their windows, such as the last of a network for tiny images: the copy costs nothing.
        fits = self.problem.kind != INPUT_GRADIENT and min(self.problem.pad) >= 0 and max(numbers) > 0
        return inside if fits and inside.problem.is_plain() else None


def _weight_strides(shape: Shape, grouped: int, other: int, window: Shape, groups: int) -> Shape:
    """Strides of (group, within the group of the dimension `grouped`, of the dimension `other`, of the window)."""
    strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    return (strides[grouped] * (shape[grouped] // groups), *(strides[i] for i in (grouped, other, *window)))


def _flipped(low: Shape, window: Shape, dilation: Shape) -> Shape:
    """The padding of the convolution whose transpose has the padding `low`."""
    return tuple(d * (k - 1) - a for a, k, d in zip(low, window, dilation, strict=True))


class _Convolution(NamedTuple):
    """JAX's parameters as `recognise` takes them, the padding behind aside: the shapes tell it."""

    lhs: Shape
    rhs: Shape
    out: Shape
    stride: Shape
    low: Shape
    lhs_dilation: Shape
    rhs_dilation: Shape
    dimensions: Dimensions
    groups: int
    operand: str
    result: str

    def of_maps(self) -> Call | None:
        """A map and weights in, a map out: a convolution, or the transpose of one."""
        given, made = (self.lhs[-1], self.lhs[1:-1]), (self.out[-1], self.out[1:-1])
        outputs, inputs, *axes = self.dimensions.rhs
        window = tuple(self.rhs[i] for i in axes)
        group, output, other, *taps = _weight_strides(self.rhs, outputs, inputs, tuple(axes), self.groups)
        if set(self.lhs_dilation) == {1}:
            # The input gradient of a convolution of stride 1 comes here too: it is a convolution of its own.
            problem = self._problem(FORWARD, given, made, window, (group, output, other, *taps))
            return Call(replace(problem, stride=self.stride, dilation=self.rhs_dilation, pad=self.low))
        if set(self.stride) != {1}:
            return None
        problem = self._problem(INPUT_GRADIENT, made, given, window, (group, other, output, *taps))
        pad = _flipped(self.low, window, self.rhs_dilation)
        problem = replace(problem, stride=self.lhs_dilation, dilation=self.rhs_dilation, pad=pad)
        return Call(problem, reversed_weights=True)

    def of_weights(self) -> Call | None:
        """Two maps in, weights out: every dilation of the one convolution is a stride of the other."""
        left, right = (self.lhs[-1], self.lhs[1:-1]), (self.rhs[-1], self.rhs[1:-1])
        inputs, outputs, *axes = self.dimensions.out
        window = tuple(self.out[i] for i in axes)
        group, output, other, *taps = _weight_strides(self.out, outputs, inputs, tuple(axes), self.groups)
        if set(self.lhs_dilation) == {1}:
            problem = self._problem(WEIGHT_GRADIENT, left, right, window, (group, output, other, *taps))
            return Call(replace(problem, stride=self.rhs_dilation, dilation=self.stride, pad=self.low))
        if set(self.rhs_dilation) != {1}:
            return None
        # A transposed convolution's weights: what it was given is the target, and what it made is the source.
        problem = self._problem(WEIGHT_GRADIENT, right, left, window, (group, other, output, *taps))
        pad = _flipped(self.low, window, self.stride)
        problem = replace(problem, stride=self.lhs_dilation, dilation=self.stride, pad=pad)
        return Call(problem, swapped=True, reversed_weights=True)

    def _problem(
        self, kind: int, source: tuple[int, Shape], target: tuple[int, Shape], window: Shape, strides: Shape
    ) -> Problem:
        (channels, space), (features, target_space) = source, target
        ones = (1,) * len(window)
        return Problem(
            kind=kind,
            batch=self.lhs[0],
            groups=self.groups,
            channels=channels,
            features=features,
            source=space,
            target=target_space,
            window=window,
            stride=ones,
            dilation=ones,
            pad=ones,
            weight_strides=strides,
            operand=self.operand,
            result=self.result,
        )


def recognise(
    lhs: Shape,
    rhs: Shape,
    out: Shape,
    *,
    stride: Shape,
    padding: Sequence[tuple[int, int]],
    lhs_dilation: Shape,
    rhs_dilation: Shape,
    dimensions: Dimensions,
    feature_groups: int,
    batch_groups: int,
    operand: str,
    result: str,
) -> Call | None:
    """What the convolution of arrays of shapes `lhs` and `rhs` to shape `out` is, or None where it is not ours.

    The arguments are those of `jax.lax.conv_general_dilated`; `operand` and `result` name types of numbers.
    """
    rank = len(lhs)
    if not 3 <= rank <= 5 or operand not in TYPES or result not in (operand, "float32"):
        return None
    low = tuple(before for before, _ in padding)
    groups = max(feature_groups, batch_groups)
    found = _Convolution(lhs, rhs, out, stride, low, lhs_dilation, rhs_dilation, dimensions, groups, operand, result)
    maps = (0, rank - 1, *range(1, rank - 1))  # channels-last
    turned = (rank - 1, 0, *range(1, rank - 1))  # the same, when the batch is what is summed over
    call = None
    if dimensions.lhs == dimensions.out == maps and batch_groups == 1:
        call = found.of_maps()
    elif dimensions.lhs == dimensions.rhs == turned and feature_groups == 1:
        call = found.of_weights()
    return None if call is None else call.trusted()
