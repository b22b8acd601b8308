"""What operations do that choose entries: slices, gathers, reversal."""

import numpy as np

from cnnlab.receptive_field import taps
from cnnlab.receptive_field.node import Node
from cnnlab.receptive_field.value import Values
from cnnlab.trace.jaxprs import JaxprEqn, shape


def cut(node: Node, equation: JaxprEqn, operands: Values) -> Node:
    params, out = equation.params, shape(equation.outvars[0])
    strides = params["strides"] or (1,) * len(out)
    for d, start in enumerate(params["start_indices"]):
        node = node.cut(d, start, out[d], strides[d])
    return node


def dynamic_slice(node: Node, equation: JaxprEqn, operands: Values) -> Node | None:
    for d, (size, start) in enumerate(zip(equation.params["slice_sizes"], operands[1:], strict=True)):
        if size == node.shape[d]:
            continue
        if not isinstance(start, np.ndarray):
            return None
        node = node.cut(d, int(np.clip(start, 0, node.shape[d] - size)), size)
    return node


def split(node: Node, equation: JaxprEqn, operands: Values) -> list[Node]:
    sizes, d = equation.params["sizes"], equation.params["axis"]
    return [node.cut(d, sum(sizes[:i]), size) for i, size in enumerate(sizes)]


def gather(node: Node, equation: JaxprEqn, operands: Values) -> Node | None:
    """Exact where one dimension is indexed, by what does not depend on the image, and the others are taken whole;
    if the indices are not known, the dimension must be one that the input's axes do not lie along."""
    params, out, index = equation.params, shape(equation.outvars[0]), operands[1]
    numbers = params["dimension_numbers"]
    indexed = [d for d, size in enumerate(params["slice_sizes"]) if size != node.shape[d]]
    if numbers.operand_batching_dims or isinstance(index, Node):
        return None
    collapsed = tuple(numbers.collapsed_slice_dims)
    if len(collapsed) > 1 or any(d not in collapsed for d in indexed):
        return None
    kept = [d for d in range(len(node.shape)) if d not in collapsed]
    batch = [d for d in range(len(out)) if d not in numbers.offset_dims]
    where = [-1] * len(node.shape)
    for d, to in zip(kept, numbers.offset_dims, strict=True):
        where[d] = to
    if not collapsed:
        return node.lay(out, where)
    (d,) = collapsed
    rows = tuple(out[b] for b in batch)
    if isinstance(index, np.ndarray) and tuple(numbers.start_index_map) == collapsed:
        chosen = np.clip(index.reshape(-1), 0, node.shape[d] - 1).astype(np.int64)
        node = node.take(d, taps.chosen(chosen))
    elif all(axis.place != d for axis in node.axes):
        node = node.blend(d, int(np.prod(rows)))
    else:
        return None
    node = node.reshape((*node.shape[:d], *rows, *node.shape[d + 1 :]))
    where[d : d + 1] = batch
    return node.lay(out, where)


def reverse(node: Node, equation: JaxprEqn, operands: Values) -> Node:
    for d in equation.params["dimensions"]:
        node = node.take(d, taps.chosen(np.arange(node.shape[d])[::-1]))
    return node
