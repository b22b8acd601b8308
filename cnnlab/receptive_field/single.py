"""What primitive operations with one operand that depends on the image do to its receptive field."""

from collections.abc import Callable
from dataclasses import replace
from math import prod

from cnnlab.receptive_field import windows
from cnnlab.receptive_field.reach import Axis, Inexact, Local, Reach, Shape, broadcast, plain, without
from cnnlab.trace.jaxprs import JaxprEqn, Literal, shape


def operand_shape(equation: JaxprEqn, operand: int = 0) -> Shape:
    """The shape of an equation's operand."""
    return shape(equation.invars[operand])


def output_shape(equation: JaxprEqn) -> Shape:
    """The shape of an equation's first output."""
    return shape(equation.outvars[0])


def _slide(
    local: Local, equation: JaxprEqn, to: int, size: int, stride: int, dilation: int, before: int, base: int
) -> Axis:
    """`size` taps over the map, after base - 1 gaps between any two positions and `before` in front of it."""
    local = plain(local, operand_shape(equation))
    spread = windows.dilate(local.field, int(base))  # NumPy's integers would not go into JSON
    field = windows.window(spread, size=int(size), stride=int(stride), dilation=int(dilation), before=int(before))
    return replace(local, axis=to, units=output_shape(equation)[to], field=field)


def _convolution(local: Local, equation: JaxprEqn) -> Axis:
    params = equation.params
    image, kernel, out = params["dimension_numbers"]
    place = image.index(local.axis)
    if place == 1:
        return Reach.WHOLE  # space was moved to the channels, which the kernel sums over
    if place == 0:
        if params["batch_group_count"] > 1:
            raise Inexact
        return replace(local, axis=out[0])
    k = place - 2
    size, before = operand_shape(equation, 1)[kernel[place]], params["padding"][k][0]
    stride, dilation, base = params["window_strides"][k], params["rhs_dilation"][k], params["lhs_dilation"][k]
    return _slide(local, equation, out[place], size, stride, dilation, before, base)


def _reduce_window(local: Local, equation: JaxprEqn) -> Axis:
    k, params = local.axis, equation.params
    size, before = params["window_dimensions"][k], params["padding"][k][0]
    stride, dilation, base = params["window_strides"][k], params["window_dilation"][k], params["base_dilation"][k]
    return _slide(local, equation, k, size, stride, dilation, before, base)


def _pad(local: Local, equation: JaxprEqn) -> Axis:
    low, high, interior = equation.params["padding_config"][local.axis]
    if low == high == interior == 0:
        return local
    return _slide(local, equation, local.axis, 1, 1, 1, low, interior + 1)


def _cut(local: Local, equation: JaxprEqn, start: int, size: int, stride: int = 1) -> Axis:
    if start == 0 and size == operand_shape(equation)[local.axis]:
        return local
    local = plain(local, operand_shape(equation))
    field = windows.window(local.field, size=1, stride=int(stride), before=-int(start))
    return replace(local, units=size, field=field)


def _slice(local: Local, equation: JaxprEqn) -> Axis:
    strides = equation.params["strides"]
    stride = strides[local.axis] if strides else 1
    return _cut(
        local, equation, equation.params["start_indices"][local.axis], output_shape(equation)[local.axis], stride
    )


def split(local: Local, equation: JaxprEqn) -> list[Axis]:
    """The only one with several outputs of their own."""
    sizes = equation.params["sizes"]
    if local.axis != equation.params["axis"]:
        return [local] * len(sizes)
    return [_cut(local, equation, sum(sizes[:i]), size) for i, size in enumerate(sizes)]


def _dynamic_slice(local: Local, equation: JaxprEqn) -> Axis:
    size, start = equation.params["slice_sizes"][local.axis], equation.invars[1 + local.axis]
    if size == operand_shape(equation)[local.axis]:
        return local
    if not isinstance(start, Literal):
        raise Inexact
    return _cut(local, equation, int(start.val), size)


def _gather(local: Local, equation: JaxprEqn) -> Axis:
    """Exact where only other axes are indexed (a permutation of channels) and this one is taken whole."""
    numbers = equation.params["dimension_numbers"]
    gone = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    if local.axis in gone or equation.params["slice_sizes"][local.axis] != operand_shape(equation)[local.axis]:
        raise Inexact
    kept = [axis for axis in range(len(operand_shape(equation))) if axis not in gone]
    return replace(local, axis=numbers.offset_dims[kept.index(local.axis)])


def _reshape(local: Local, equation: JaxprEqn) -> Axis:
    """Follow the axis by its step in the array's row-major order."""
    old, new = operand_shape(equation), output_shape(equation)
    step = prod(old[local.axis + 1 :]) * local.inner
    end = step * local.units
    after = {axis: prod(new[axis + 1 :]) for axis in range(len(new))}
    if local.units == 1:  # one unit may sit on any axis of one: the nearest, never moving to the batch
        fits = [a for a in range(min(local.axis, 1), len(new)) if step % after[a] == 0 and after[a] * new[a] == end]
        fits.sort(key=lambda axis: (step // after[axis] != local.inner, abs(axis - local.axis), -axis))
    else:
        fits = [a for a, n in after.items() if step % n == 0 == n * new[a] % end and n <= step and new[a] > 1]
    if fits:
        return replace(local, axis=fits[0], inner=step // after[fits[0]])
    for axis, n in after.items():  # the axis is cut into blocks: follow the blocks
        if step < n < end and n % step == 0 == end % n and n * new[axis] % end == 0:
            block = n // step
            field = windows.window(local.field, size=block, stride=block)
            return replace(local, axis=axis, units=local.units // block, inner=1, field=field, coarse=True)
    if local.units == 1:
        return Reach.WHOLE
    raise Inexact


def _reduce(local: Local, equation: JaxprEqn) -> Axis:
    axes = equation.params["axes"] if "axes" in equation.params else equation.params["dimensions"]
    return without(local, axes)


def _broadcast_in_dim(local: Local, equation: JaxprEqn) -> Axis:
    before, dimensions = operand_shape(equation), equation.params["broadcast_dimensions"]
    moved = replace(local, axis=dimensions[local.axis])
    after = output_shape(equation)
    ranked = tuple(before[dimensions.index(axis)] if axis in dimensions else 1 for axis in range(len(after)))
    return broadcast(moved, ranked, after)


def _transpose(local: Local, equation: JaxprEqn) -> Axis:
    return replace(local, axis=equation.params["permutation"].index(local.axis))


def _reverse(local: Local, equation: JaxprEqn) -> Axis:
    if local.axis not in equation.params["dimensions"]:
        return local
    local = plain(local, operand_shape(equation))
    return replace(local, field=windows.reverse(local.field, local.units))


def _tile(local: Local, equation: JaxprEqn) -> Axis:
    if output_shape(equation)[local.axis] != operand_shape(equation)[local.axis]:
        raise Inexact
    return local


def _cumulative(local: Local, equation: JaxprEqn) -> Axis:
    if local.axis == equation.params["axis"]:
        raise Inexact
    return local


def _top_k(local: Local, equation: JaxprEqn) -> Axis:
    return Reach.WHOLE if local.axis == len(operand_shape(equation)) - 1 else local


SLIDING = frozenset(
    {"conv_general_dilated", "reduce_window", "reduce_window_max", "reduce_window_min", "reduce_window_sum"}
)
SINGLE: dict[str, Callable[[Local, JaxprEqn], Axis]] = {
    "conv_general_dilated": _convolution,
    **dict.fromkeys(sorted(SLIDING - {"conv_general_dilated"}), _reduce_window),
    **dict.fromkeys(("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or"), _reduce),
    **dict.fromkeys(("reduce_xor", "reduce", "argmax", "argmin"), _reduce),
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"), _cumulative),
    "broadcast_in_dim": _broadcast_in_dim,
    "dynamic_slice": _dynamic_slice,
    "gather": _gather,
    "pad": _pad,
    "reshape": _reshape,
    "rev": _reverse,
    "slice": _slice,
    "tile": _tile,
    "top_k": _top_k,
    "transpose": _transpose,
}
