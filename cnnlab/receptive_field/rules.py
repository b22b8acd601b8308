"""What every primitive operation does to the receptive field along one input axis."""

from collections.abc import Callable
from dataclasses import replace

from cnnlab.receptive_field import windows
from cnnlab.receptive_field.reach import Axis, Inexact, Local, Reach, broadcast, merge, plain, sees_all, without
from cnnlab.receptive_field.single import SINGLE, operand_shape, output_shape, split
from cnnlab.trace.jaxprs import JaxprEqn

# fmt: off
_ELEMENTWISE = frozenset({
    "abs", "acos", "acosh", "add", "add_any", "and", "asin", "asinh", "atan", "atan2", "atanh", "bessel_i0e",
    "bessel_i1e", "bitcast_convert_type", "cbrt", "ceil", "clamp", "clz", "complex", "conj", "convert_element_type",
    "copy", "copy_p", "cos", "cosh", "digamma", "div", "eq", "eq_to", "erf", "erf_inv", "erfc", "exp", "exp2",
    "expm1", "floor", "ge", "gt", "igamma", "igammac", "imag", "integer_pow", "is_finite", "le", "le_to", "lgamma",
    "log", "log1p", "logistic", "lt", "lt_to", "max", "min", "mul", "name", "ne", "neg", "nextafter", "not", "or",
    "polygamma", "population_count", "pow", "real", "reduce_precision", "regularized_incomplete_beta", "rem",
    "round", "rsqrt", "select_n", "shift_left", "shift_right_arithmetic", "shift_right_logical", "sign", "sin",
    "sinh", "sqrt", "square", "stop_gradient", "sub", "tan", "tanh", "xor", "zeta",
})
# fmt: on
_ONE_BY_ONE = frozenset({"optimization_barrier", "device_put"})  # output i is operand i


def transfer(equation: JaxprEqn, operands: list[Axis], positions: int) -> list[Axis]:
    """What each output knows of an input axis of `positions`, from what the operands know.

    Raises Inexact where there is no exact answer: an operation without a rule, an index or a kernel that is
    made from the image.
    """
    name, count = equation.primitive.name, len(equation.outvars)
    if name in _ONE_BY_ONE:
        return operands
    if Reach.WHOLE in operands:
        return [Reach.WHOLE] * count
    if not any(isinstance(operand, Local) for operand in operands):
        return [merge(operands, (), positions)] * count
    if name in _ELEMENTWISE:
        return [_elementwise(equation, operands, positions)] * count
    if name in _JOINING:
        return [_JOINING[name](equation, operands, positions)] * count
    first, *others = operands
    if not isinstance(first, Local) or any(isinstance(other, Local) for other in others):
        raise Inexact
    if name == "split":
        return split(first, equation)
    if name not in SINGLE:
        raise Inexact
    return [SINGLE[name](first, equation)] * count


def _elementwise(equation: JaxprEqn, operands: list[Axis], positions: int) -> Axis:
    shape = output_shape(equation)
    spread = [broadcast(axis, operand_shape(equation, i), shape) for i, axis in enumerate(operands)]
    return merge(spread, shape, positions)


def _concatenate(equation: JaxprEqn, operands: list[Axis], positions: int) -> Axis:
    """Side by side over channels: the union. End to end along the map: one map, if the fields go on from piece to
    piece, or if the smaller pieces are borders made from the same map (reflected, replicated or circular
    padding, to be told by their units, which see as much as its own), which count as padding does."""
    dimension = equation.params["dimension"]
    if not any(isinstance(axis, Local) and axis.axis == dimension for axis in operands):
        return merge(operands, output_shape(equation), positions)
    pieces: list[Local] = []
    start = 0
    for i, axis in enumerate(operands):
        if isinstance(axis, Local):
            piece = plain(axis, operand_shape(equation, i))
            pieces.append(replace(piece, field=windows.shift(piece.field, start)))
        start += operand_shape(equation, i)[dimension]
    main = max(pieces, key=lambda piece: piece.units)
    for piece in pieces:
        alike = piece.source == main.source and piece.field.size == main.field.size
        is_border = alike and piece.units < main.units
        if piece.axis != dimension or (piece.field != main.field and not is_border):
            raise Inexact
    return replace(main, units=start, offset=max(piece.offset for piece in pieces))


def _stack(equation: JaxprEqn, operands: list[Axis], positions: int) -> Axis:
    local = merge(operands, operand_shape(equation), positions)
    if not isinstance(local, Local):
        return local
    return replace(local, axis=local.axis + (local.axis >= equation.params["axis"]))


def _sort(equation: JaxprEqn, operands: list[Axis], positions: int) -> Axis:
    local = merge(operands, operand_shape(equation), positions)
    return Reach.WHOLE if isinstance(local, Local) and local.axis == equation.params["dimension"] else local


def _squeeze(equation: JaxprEqn, operands: list[Axis], positions: int) -> Axis:
    """Taking out an axis of one unit leaves the axis no place: exact if that unit saw all of it."""
    (axis,), gone = operands, equation.params["dimensions"]
    if not isinstance(axis, Local):
        return axis
    if axis.axis in gone and not sees_all(axis.field, positions):
        raise Inexact
    return without(axis, gone)


def _dot_general(equation: JaxprEqn, operands: list[Axis], positions: int) -> Axis:
    """A matrix product sums over its contracted axes; the output has batch axes, then left's, then right's.

    Every position against every other (attention's scores) sees the whole axis in some pair.
    """
    contracted, batch = equation.params["dimension_numbers"]
    placed: list[Axis] = []
    start = len(batch[0])
    for side, axis in enumerate(operands):
        free = [a for a in range(len(operand_shape(equation, side))) if a not in (*contracted[side], *batch[side])]
        if isinstance(axis, Local):
            if axis.axis in contracted[side]:
                if operands[1 - side] is Reach.CONSTANT:  # weights of a resize: local, but not along this axis
                    raise Inexact
                return Reach.WHOLE
            if axis.axis in batch[side]:
                axis = replace(axis, axis=list(batch[side]).index(axis.axis))
            else:
                axis = replace(axis, axis=start + free.index(axis.axis))
        placed.append(axis)
        start += len(free)
    if len({axis.axis for axis in placed if isinstance(axis, Local)}) == 2:
        return Reach.WHOLE
    return merge(placed, output_shape(equation), positions)


_JOINING: dict[str, Callable[[JaxprEqn, list[Axis], int], Axis]] = {
    "concatenate": _concatenate,
    "dot_general": _dot_general,
    "sort": _sort,
    "squeeze": _squeeze,
    "stack": _stack,
}
