"""What every primitive operation does to what an array sees, as a few moves of a Node."""

from collections.abc import Callable

import numpy as np

from cnnlab.receptive_field import indexing, taps
from cnnlab.receptive_field.axis import Shape
from cnnlab.receptive_field.joining import Context, concatenate, everything, join
from cnnlab.receptive_field.node import Node
from cnnlab.receptive_field.products import dot_general
from cnnlab.receptive_field.value import Value, Values
from cnnlab.trace.jaxprs import JaxprEqn, shape

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


def transfer(equation: JaxprEqn, operands: Values, context: Context) -> list[Value]:
    """The outputs of an equation some operand of which depends on the image.

    Where there is no exact rule, every output counts as depending on everything, and `context` notes the name.
    """
    name, count = equation.primitive.name, len(equation.outvars)
    if name in _ONE_BY_ONE:
        return list(operands)
    nodes = [operand for operand in operands if isinstance(operand, Node)]
    if name in _ELEMENTWISE:
        out = shape(equation.outvars[0])
        return [join([_spread(node, out) for node in nodes], name, context)] * count
    if name in _JOINING:
        found = _JOINING[name](equation, operands, context)
    elif name in _SINGLE and len(nodes) == 1 and nodes[0] is operands[0]:
        found = _SINGLE[name](nodes[0], equation, operands)
    else:
        found = None
    if found is None:
        context.inexact.add(name)
        return [everything(nodes, shape(out)) for out in equation.outvars]
    return list(found) if isinstance(found, list) else [found] * count


def _spread(node: Node, out: Shape) -> Node:
    if node.shape == out:
        return node
    return node.lay(out, range(len(out)) if node.shape else [])  # a scalar, or dimensions of one entry


# ---------------------------------------------------------------- one operand


def _convolution(node: Node, equation: JaxprEqn, operands: Values) -> Node | None:
    params, kernel, out = equation.params, shape(equation.invars[1]), shape(equation.outvars[0])
    image, weights, result = params["dimension_numbers"]
    if params["batch_group_count"] > 1:
        return None
    node = node.blend(image[1], out[result[1]], params["feature_group_count"])
    for k, dimension in enumerate(image[2:]):
        node = node.take(
            dimension,
            taps.sliding(
                out[result[k + 2]],
                kernel[weights[k + 2]],
                params["window_strides"][k],
                params["rhs_dilation"][k],
                params["padding"][k][0],
                params["lhs_dilation"][k],
            ),
        )
    where = [0] * len(out)
    for before, after in zip(image, result, strict=True):
        where[before] = after
    return node.lay(out, where)


def _reduce_window(node: Node, equation: JaxprEqn, operands: Values) -> Node:
    params, out = equation.params, shape(equation.outvars[0])
    for d, size in enumerate(params["window_dimensions"]):
        stride, (before, after) = params["window_strides"][d], params["padding"][d]
        if size > 1 or stride > 1 or before or after:
            dilation, base = params["window_dilation"][d], params["base_dilation"][d]
            node = node.take(d, taps.sliding(out[d], size, stride, dilation, before, base))
    return node


def _pad(node: Node, equation: JaxprEqn, operands: Values) -> Node:
    for d, (low, high, interior) in enumerate(equation.params["padding_config"]):
        if low or high or interior:
            node = node.take(d, taps.sliding(shape(equation.outvars[0])[d], 1, 1, 1, low, interior + 1))
    return node


def _reduce(node: Node, equation: JaxprEqn, operands: Values) -> Node:
    params = equation.params
    return node.reduce(params["axes"] if "axes" in params else params["dimensions"])


def _cumulative(node: Node, equation: JaxprEqn, operands: Values) -> Node:
    """Along the map an entry sees all up to it; as a theoretical field that has no end."""
    d = equation.params["axis"]
    node = node if not equation.params["reverse"] else node.take(d, taps.chosen(np.arange(node.shape[d])[::-1]))

    def back(mask: np.ndarray) -> np.ndarray:
        full = np.repeat(mask, node.shape[d], d) if mask.shape[d] == 1 else mask
        return np.flip(np.logical_or.accumulate(np.flip(full, d), d), d)

    found = node.made(node.shape, [axis.accumulated(d) for axis in node.axes], back, solid=False)
    return found if not equation.params["reverse"] else found.take(d, taps.chosen(np.arange(node.shape[d])[::-1]))


def _top_k(node: Node, equation: JaxprEqn, operands: Values) -> Node:
    d = equation.params.get("axis", len(node.shape) - 1) % len(node.shape)
    return node.blend(d, shape(equation.outvars[0])[d])


def _broadcast(node: Node, equation: JaxprEqn, operands: Values) -> Node:
    return node.lay(shape(equation.outvars[0]), equation.params["broadcast_dimensions"])


def _reshape(node: Node, equation: JaxprEqn, operands: Values) -> Node:
    return node.reshape(shape(equation.outvars[0]))


_SINGLE: dict[str, Callable[[Node, JaxprEqn, Values], Node | list[Node] | None]] = {
    "conv_general_dilated": _convolution,
    **dict.fromkeys(("reduce_window", "reduce_window_max", "reduce_window_min", "reduce_window_sum"), _reduce_window),
    **dict.fromkeys(("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or"), _reduce),
    **dict.fromkeys(("reduce_xor", "reduce", "argmax", "argmin"), _reduce),
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"), _cumulative),
    "broadcast_in_dim": _broadcast,
    "dynamic_slice": indexing.dynamic_slice,
    "gather": indexing.gather,
    "pad": _pad,
    "reshape": _reshape,
    "rev": indexing.reverse,
    "slice": indexing.cut,
    "split": indexing.split,
    "squeeze": lambda node, equation, operands: node.squeeze(
        [d % len(node.shape) for d in equation.params["dimensions"]]
    ),
    "top_k": _top_k,
    "transpose": lambda node, equation, operands: node.transpose(equation.params["permutation"]),
}


# ---------------------------------------------------------------- several operands


def _concatenate(equation: JaxprEqn, operands: Values, context: Context) -> Node:
    dimension = equation.params["dimension"]
    sizes = [shape(atom)[dimension] for atom in equation.invars]
    pieces = [operand if isinstance(operand, Node) else None for operand in operands]
    return concatenate(pieces, sizes, dimension, "concatenate", context)


def _stack(equation: JaxprEqn, operands: Values, context: Context) -> Node:
    dimension, out = equation.params["axis"], shape(equation.outvars[0])
    one = (*out[:dimension], 1, *out[dimension + 1 :])
    where = [d + (d >= dimension) for d in range(len(out) - 1)]
    pieces = [operand.lay(one, where) if isinstance(operand, Node) else None for operand in operands]
    return concatenate(pieces, [1] * len(pieces), dimension, "stack", context)


def _tile(equation: JaxprEqn, operands: Values, context: Context) -> Node | None:
    node = operands[0]
    assert isinstance(node, Node)
    for d, (before, after) in enumerate(zip(node.shape, shape(equation.outvars[0]), strict=True)):
        if before != after:
            node = concatenate([node] * (after // before), [before] * (after // before), d, "tile", context)
    return node


def _sort(equation: JaxprEqn, operands: Values, context: Context) -> Node:
    node = join([operand for operand in operands if isinstance(operand, Node)], "sort", context)
    d = equation.params["dimension"]
    return node.blend(d, node.shape[d])


_JOINING: dict[str, Callable[[JaxprEqn, Values, Context], Node | None]] = {
    "concatenate": _concatenate,
    "dot_general": dot_general,
    "sort": _sort,
    "stack": _stack,
    "tile": _tile,
}
