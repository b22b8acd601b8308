"""What a matrix product (dot_general) does: dense layers, attention, a resize by a matrix of weights."""

from collections.abc import Sequence

import numpy as np

from cnnlab.receptive_field import taps
from cnnlab.receptive_field.joining import Context, everything, join
from cnnlab.receptive_field.node import Node
from cnnlab.receptive_field.value import Values
from cnnlab.trace.jaxprs import JaxprEqn, shape


def dot_general(equation: JaxprEqn, operands: Values, context: Context) -> Node | None:
    """The output has the batch dimensions, then left's others, then right's; contracted ones are summed over.

    Every position against every other (attention's scores) sees the whole axis.
    """
    contracted, batch = equation.params["dimension_numbers"]
    out = shape(equation.outvars[0])
    placed: list[Node] = []
    start = len(batch[0])
    for side, operand in enumerate(operands):
        rank = len(shape(equation.invars[side]))
        summed, together = list(contracted[side]), list(batch[side])
        free = [d for d in range(rank) if d not in summed and d not in together]
        if isinstance(operand, Node):
            other = operands[1 - side]
            if isinstance(other, np.ndarray) and not together and len(summed) == 1:
                return _weighted(operand, other, summed[0], contracted[1 - side][0], out, first=side == 0)
            node = operand.reduce(summed)
            left = [d for d in range(rank) if d not in summed]
            where = [together.index(d) if d in together else start + free.index(d) for d in left]
            placed.append(node.lay(out, where))
        start += len(free)
    if len(placed) == 2 and any(
        _crossed(one.place, other.place) for one, other in zip(placed[0].axes, placed[1].axes, strict=True)
    ):
        return everything(placed, out)
    return join(placed, "dot_general", context)


def _crossed(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and one != other


def _weighted(node: Node, weights: np.ndarray, dimension: int, along: int, out: Sequence[int], *, first: bool) -> Node:
    """A product with known weights: an entry looks at those whose weights are not zero."""
    matrix = np.moveaxis(weights, along, -1)
    rows = matrix.shape[:-1]
    node = node.take(dimension, taps.weighted(matrix.reshape(-1, matrix.shape[-1])))
    node = node.reshape((*node.shape[:dimension], *rows, *node.shape[dimension + 1 :]))
    made = list(range(dimension, dimension + len(rows)))
    others = [d for d in range(len(node.shape)) if d not in made]
    return node.transpose([*others, *made] if first else [*made, *others])
