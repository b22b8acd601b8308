"""What a model costs per layer: parameters, multiply-adds and the memory of its activations.

Multiply-adds are counted as fvcore and torchvision's published tables do: convolutions and matrix products
count, element-by-element arithmetic (bias, normalisation, activations) does not. FLOPs are twice that.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

import jax
from flax import nnx

from cnnlab.models.patterns import matches
from cnnlab.trace import jaxprs
from cnnlab.trace.walk import Call, Shape, Traced, equations

_FLOAT32_BYTES = 4


@dataclass(frozen=True)
class LayerCost:
    """One call of a layer at batch 1. `parameters` count at the first call only; `output_shape` excludes the batch.

    `activation_bytes` is what the layer's output takes in float32. Where a module with modules inside does
    arithmetic of its own (attention between its projections), it has a row too: its own parameters and
    multiply-adds, and the bytes of those products.
    """

    path: str
    operation: str
    output_shape: Shape
    parameters: int
    multiply_adds: int
    activation_bytes: int

    @property
    def flops(self) -> int:
        return 2 * self.multiply_adds


@dataclass(frozen=True)
class Totals:
    """The sums over all layers."""

    parameters: int
    multiply_adds: int
    activation_bytes: int

    @property
    def flops(self) -> int:
        return 2 * self.multiply_adds


def cost(traced: Traced, model: nnx.Module) -> tuple[LayerCost, ...]:
    """A row for every call of a leaf layer, in execution order, and for composite modules with work of their own."""
    multiply_adds: dict[int, int] = defaultdict(int)
    product_bytes: dict[int, int] = defaultdict(int)
    for item in equations(traced):
        if count := item.repeats * _multiply_adds(item.equation):
            multiply_adds[item.call.index] += count
            product_bytes[item.call.index] += _bytes(jaxprs.shape(item.equation.outvars[0]))
    parameters = _parameters(model, {call.path for call in traced.calls})
    rows = []
    for call in traced.calls:
        own = parameters.pop(call.path, 0)  # gone at the second call of a shared module
        work = multiply_adds[call.index]
        if call.leaf:
            memory = sum(map(_bytes, call.output_shapes))
        elif own or work:
            memory = product_bytes[call.index]
        else:
            continue
        rows.append(LayerCost(call.path, operation(call), call.output_shape, own, work, memory))
    return tuple(rows)


def totals(rows: Iterable[LayerCost]) -> Totals:
    """The sums of `cost`'s rows."""
    rows = tuple(rows)
    return Totals(
        sum(row.parameters for row in rows),
        sum(row.multiply_adds for row in rows),
        sum(row.activation_bytes for row in rows),
    )


def training_multiply_adds(rows: Iterable[LayerCost], freeze: tuple[str, ...]) -> int:
    """Those of one example in a step: each layer forward, for the gradient of its input, and for that of its weights.

    So three times the forward ones where all trains (the first layer's input needs no gradient; it counts all the
    same, as is the custom). What `freeze` names has no gradient of its weights, and nothing has one of its input
    before the first layer that trains. What is computed twice to save memory counts once.
    """
    total, backward = 0, False
    for row in rows:
        frozen = any(matches(f"{row.path}.kernel", pattern) for pattern in freeze)
        backward = backward or (row.parameters > 0 and not frozen)
        total += row.multiply_adds * (1 + backward * (1 if frozen else 2))
    return total


def operation(call: Call) -> str:
    """A layer's class in the vocabulary's spelling: BatchNorm is `batch_norm`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", call.kind).lower()


def _parameters(model: nnx.Module, called: set[str]) -> dict[str, int]:
    """Entries of nnx.Param by the path of the module that holds them, each once however often it is shared.

    A module that is never called leaves its parameters to the nearest called one around it.
    """
    counts: dict[str, int] = defaultdict(int)
    for path, parameter in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        owner = [str(part) for part in path[:-1]]
        while owner and ".".join(owner) not in called:
            owner.pop()
        counts[".".join(owner)] += sum(prod(leaf.shape) for leaf in jax.tree.leaves(parameter))
    return counts


def _multiply_adds(equation: jaxprs.JaxprEqn) -> int:
    if equation.primitive.name == "conv_general_dilated":
        return _convolution(equation)
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        left = jaxprs.shape(equation.invars[0])
        return prod(jaxprs.shape(equation.outvars[0])) * prod(left[axis] for axis in contracted)
    return 0


def _convolution(equation: jaxprs.JaxprEqn) -> int:
    """Kernel volume times input channels of a group, for each output; with a dilated input (a transposed
    convolution) the kernel, its output channels included, for each input position: zeros in between are free."""
    image, kernel = (jaxprs.shape(operand) for operand in equation.invars)
    batch, _, *space = equation.params["dimension_numbers"].lhs_spec
    features = equation.params["dimension_numbers"].rhs_spec[0]
    if any(dilation > 1 for dilation in equation.params["lhs_dilation"]):
        return image[batch] * prod(image[axis] for axis in space) * prod(kernel)
    return prod(jaxprs.shape(equation.outvars[0])) * prod(kernel) // kernel[features]


def _bytes(shape: Shape) -> int:
    return prod(shape) * _FLOAT32_BYTES
