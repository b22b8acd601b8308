"""From a model to its receptive fields: its jaxpr is run on what arrays see instead of on numbers."""

from collections.abc import Sequence
from math import prod

import numpy as np
from flax import nnx

from cnnlab.errors import CnnlabError
from cnnlab.receptive_field.axis import Shape
from cnnlab.receptive_field.constants import fold
from cnnlab.receptive_field.joining import Context, concatenate, everything, join
from cnnlab.receptive_field.layers import row, row_without_node
from cnnlab.receptive_field.node import Node, image
from cnnlab.receptive_field.report import Layer, Report, Window
from cnnlab.receptive_field.rules import transfer
from cnnlab.receptive_field.value import Value
from cnnlab.trace import jaxprs
from cnnlab.trace.walk import Call, Traced, call_of, output_of, trace

_LONGEST_SCAN = 1000
_SLIDING = frozenset(
    {"conv_general_dilated", "reduce_window", "reduce_window_max", "reduce_window_min", "reduce_window_sum"}
)


def receptive_field(model: nnx.Module, input_shape: Shape, *, ignore_global: bool = False) -> Report:
    """What the units of every layer of `model` see of the input, in evaluation mode.

    `input_shape` is the spatial axes and the channel, without the batch. The model's leaves may be
    `jax.ShapeDtypeStruct`. Raises CnnlabError for an input without spatial axes.
    """
    if len(input_shape) < 2:
        shown = ",".join(map(str, input_shape)) or "of no axes"
        raise CnnlabError(
            f"an input {shown} has no spatial axis, so nothing has a receptive field",
            hint="give the size of every axis and the channels, such as 224,224,3",
        )
    return fields(trace(model, input_shape), ignore_global=ignore_global)


def fields(traced: Traced, *, ignore_global: bool = False) -> Report:
    """The same for a model that is traced already.

    `ignore_global` leaves out what operations that look at the whole map (squeeze-excitation, normalisation over
    space, global pooling) add to others.
    """
    *positions, channels = traced.input_shape
    context = Context(tuple(positions), ignore_global)
    interpreter = _Interpreter(traced, context)
    interpreter.run_model(image(context.positions, channels))
    layers = tuple(interpreter.row(call) for call in traced.calls if call.leaf and call.output_shapes)
    return Report(traced.input_shape, tuple(sorted(context.inexact)), layers)


class _Interpreter:
    """Runs a jaxpr on Values. `outputs` holds every call's first output, `windows` the window that it slides."""

    def __init__(self, traced: Traced, context: Context):
        self.jaxpr, self.context = traced.jaxpr, context
        self.leaves = {call.index for call in traced.calls if call.leaf}
        self.outputs: dict[int, Value] = {}
        self.windows: dict[int, Window] = {}

    def run_model(self, pixels: Node) -> None:
        jaxpr = jaxprs.opened(self.jaxpr)
        self.run(jaxpr, [pixels, *[None] * (len(jaxpr.invars) - 1)], 0, jaxprs.constants(self.jaxpr))

    def row(self, call: Call) -> Layer:
        """The report's row for what a call returned."""
        window, value = self.windows.get(call.index), self.outputs.get(call.index)
        if isinstance(value, Node):
            return row(call, value, self.context.positions, window)
        flag = "constant" if call.index in self.outputs else "global"
        return row_without_node(call, len(self.context.positions), flag, window)

    def run(
        self, jaxpr: jaxprs.Jaxpr, arguments: Sequence[Value], outer: int, constants: Sequence[Value] = ()
    ) -> list[Value]:
        """The values of a jaxpr's outputs; `outer` is the call that it belongs to."""
        values: dict[jaxprs.Var, Value] = dict(zip(jaxpr.invars, arguments, strict=True))
        values.update(zip(jaxpr.constvars, constants, strict=False))

        def read(atom: jaxprs.Var | jaxprs.Literal) -> Value:
            return np.asarray(atom.val) if isinstance(atom, jaxprs.Literal) else values.get(atom)

        for equation in jaxpr.eqns:
            operands = [read(atom) for atom in equation.invars]
            values.update(zip(equation.outvars, self._equation(equation, operands, outer), strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, equation: jaxprs.JaxprEqn, operands: list[Value], outer: int) -> list[Value]:
        name, count = equation.primitive.name, len(equation.outvars)
        depends = any(isinstance(operand, Node) for operand in operands)
        if not depends and any(operand is None for operand in operands) and name != "name":
            return [None] * count
        call = call_of(equation, outer)
        if (body := jaxprs.inner(equation)) is not None:
            return self.run(body, operands, call)
        if (scan := jaxprs.scan(equation)) is not None and depends:
            return self._scan(scan, equation, operands, call)
        if branches := jaxprs.branches(equation):
            return self._cond(branches, equation, operands, call)
        if depends:
            results = transfer(equation, operands, self.context)
        else:
            results = (
                [fold(equation, [operand for operand in operands if operand is not None])]
                if count == 1
                else [None] * count
            )
        return [self._settle(equation, number, value, call) for number, value in enumerate(results)]

    def _settle(self, equation: jaxprs.JaxprEqn, number: int, value: Value, call: int) -> Value:
        """Note a layer's output, and name what an array comes from: the last leaf layer, or the convolution or
        pooling that a composite module does itself."""
        shape = jaxprs.shape(equation.outvars[number])
        mark, name = output_of(equation), equation.primitive.name
        if prod(shape) == 0:
            value = None
        if name in _SLIDING:
            self.windows.setdefault(call, Window.of(equation))
        if mark:
            index, output = mark
            if isinstance(value, Node) and index in self.leaves:
                value = value.named(frozenset({index}), boundary=True)
            if output == 0:
                self.outputs[index] = value
        elif isinstance(value, Node) and call not in self.leaves:
            return value.named(frozenset({-id(equation)}) if name in _SLIDING else value.source, boundary=True)
        return value

    def _cond(
        self, branches: Sequence[jaxprs.Jaxpr], equation: jaxprs.JaxprEqn, operands: list[Value], call: int
    ) -> list[Value]:
        choice, *rest = operands
        results = zip(*(self.run(branch, rest, call) for branch in branches), strict=True)
        found: list[Value] = []
        for out, values in zip(equation.outvars, results, strict=True):
            nodes = [value for value in values if isinstance(value, Node)]
            if isinstance(choice, Node):
                nodes.append(everything([choice], jaxprs.shape(out)))
            found.append(join(nodes, "cond", self.context) if nodes else None)
        return found

    def _scan(self, scan: jaxprs.Scan, equation: jaxprs.JaxprEqn, operands: list[Value], call: int) -> list[Value]:
        """Run the body as often as the scan does, or until nothing changes any more."""
        kept = scan.constants + scan.carried
        constants, carried, rows = operands[: scan.constants], operands[scan.constants : kept], operands[kept:]
        nodes = [operand for operand in operands if isinstance(operand, Node)]
        along = any(_depends_on_first(row) for row in rows)
        if along or scan.length > _LONGEST_SCAN:
            self.context.inexact.add("scan")
            return [everything(nodes, jaxprs.shape(out)) for out in equation.outvars]
        slices = [row.reduce([0]) if isinstance(row, Node) else None for row in rows]
        seen: list[list[Value]] = []
        for _ in range(scan.length):
            results = self.run(scan.body, [*constants, *carried, *slices], call)
            seen.append(results[scan.carried :])
            carried = results[: scan.carried]
        stacked: list[Value] = []
        for out, values in zip(equation.outvars[scan.carried :], zip(*seen, strict=True), strict=True):
            shape = jaxprs.shape(out)
            where = list(range(1, len(shape)))
            pieces = [value.lay((1, *shape[1:]), where) if isinstance(value, Node) else None for value in values]
            known = any(piece is not None for piece in pieces)
            stacked.append(concatenate(pieces, [1] * len(pieces), 0, "scan", self.context) if known else None)
        return [*carried, *stacked]


def _depends_on_first(row: Value) -> bool:
    """Whether what an array sees differs along its first dimension."""
    return isinstance(row, Node) and any(axis.place == 0 or axis.varies(0) for axis in row.axes)
