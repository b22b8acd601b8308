"""From a model to its receptive fields: its jaxpr is run on fields instead of numbers."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import prod

from flax import nnx

from cnnlab.errors import CnnlabError
from cnnlab.receptive_field import windows
from cnnlab.receptive_field.reach import Axis, Inexact, Local, Reach, Shape, merge, plain
from cnnlab.receptive_field.report import Layer, Report
from cnnlab.receptive_field.rules import transfer
from cnnlab.receptive_field.single import SLIDING
from cnnlab.receptive_field.windows import Extent
from cnnlab.trace import jaxprs
from cnnlab.trace.cost import operation
from cnnlab.trace.walk import Call, Traced, call_of, output_of, trace

State = tuple[Axis, ...]  # what an array knows of each spatial axis of the input

_LONGEST_SCAN = 1000


def receptive_field(model: nnx.Module, input_shape: Shape) -> Report:
    """Size, stride, padding and centre of the field of every layer of `model`, in evaluation mode.

    `input_shape` is the spatial axes and the channel, without the batch. The model's leaves may be
    `jax.ShapeDtypeStruct`. Raises CnnlabError for an input without spatial axes.
    """
    if len(input_shape) < 2:
        shown = ",".join(map(str, input_shape)) or "of no axes"
        raise CnnlabError(
            f"an input {shown} has no spatial axis, so nothing has a receptive field",
            hint="give the size of every axis and the channels, such as 224,224,3",
        )
    return fields(trace(model, input_shape))


def fields(traced: Traced) -> Report:
    """The same for a model that is traced already."""
    interpreter = _Interpreter(traced)
    interpreter.run_model()
    layers = tuple(interpreter.layer(call) for call in traced.calls if call.leaf and call.output_shapes)
    return Report(traced.input_shape, tuple(sorted(interpreter.treated_as_global)), layers)


class _Interpreter:
    """Runs a jaxpr on states. `outputs` holds the shape and state of every call's first output."""

    def __init__(self, traced: Traced):
        self.traced = traced
        self.positions = traced.input_shape[:-1]
        self.leaves = {call.index for call in traced.calls if call.leaf}
        self.treated_as_global: set[str] = set()
        self.outputs: dict[int, tuple[Shape, State]] = {}

    def run_model(self) -> None:
        jaxpr = jaxprs.opened(self.traced.jaxpr)
        image = tuple(Local(axis, n) for axis, n in enumerate(self.positions, start=1))
        parameters = [self._all(Reach.PARAMETER)] * (len(jaxpr.invars) - 1)
        self.run(jaxpr, [image, *parameters], outer=0)

    def run(self, jaxpr: jaxprs.Jaxpr, arguments: Sequence[State], outer: int) -> list[State]:
        """The states of a jaxpr's outputs; `outer` is the call that it belongs to."""
        states: dict[jaxprs.Var, State] = dict(zip(jaxpr.invars, arguments, strict=True))

        def read(atom: jaxprs.Var | jaxprs.Literal) -> State:
            # Literals and the jaxpr's constants are in no dictionary.
            return self._all(Reach.CONSTANT) if isinstance(atom, jaxprs.Literal) else states.get(atom, constant)

        constant = self._all(Reach.CONSTANT)
        for equation in jaxpr.eqns:
            call = call_of(equation, outer)
            results = self._equation(equation, [read(atom) for atom in equation.invars], call)
            states.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def layer(self, call: Call) -> Layer:
        """The report's row for what a call returned."""
        unknown = (1, *call.output_shape), self._all(Reach.WHOLE)  # inside an operation that has no rule
        shape, state = self.outputs.get(call.index, unknown)
        extents = tuple(self._extent(k, shape, state) for k in range(len(state)))
        offset = tuple(axis.offset if isinstance(axis, Local) else Fraction(0) for axis in state)
        depends = any(isinstance(axis, Local) or axis is Reach.WHOLE for axis in state)
        flags = {
            "constant": not depends,
            "global": depends and not all(extents),
            "misaligned": any(extent and distance for extent, distance in zip(extents, offset, strict=True)),
        }
        chosen = tuple(flag for flag, holds in flags.items() if holds)
        return Layer(call.path, operation(call), call.output_shape, extents, chosen, offset)

    def _equation(self, equation: jaxprs.JaxprEqn, operands: list[State], call: int) -> list[State]:
        if (body := jaxprs.inner(equation)) is not None:
            return self.run(body, operands, call)
        if (scan := jaxprs.scan(equation)) is not None:
            return self._scan(scan, equation, operands, call)
        if branches := jaxprs.branches(equation):
            choice, *rest = operands
            results = [self.run(branch, rest, call) for branch in branches]
            return [
                self._merge([choice, *states], jaxprs.shape(out), "cond")
                for out, states in zip(equation.outvars, zip(*results, strict=True), strict=True)
            ]
        if not operands:
            return [self._all(Reach.CONSTANT)] * len(equation.outvars)
        per_axis = [self._transfer(equation, axes, k) for k, axes in enumerate(zip(*operands, strict=True))]
        return [self._settle(equation, out, state, call) for out, state in enumerate(zip(*per_axis, strict=True))]

    def _settle(self, equation: jaxprs.JaxprEqn, out: int, state: State, call: int) -> State:
        """Note a layer's output, and name what an array comes from: the last leaf layer, or the convolution or
        pooling that a composite module does itself."""
        shape = jaxprs.shape(equation.outvars[out])
        if prod(shape) == 0:
            return self._all(Reach.CONSTANT)
        source: int | None = None
        if mark := output_of(equation):
            index, number = mark
            if number == 0:
                self.outputs[index] = shape, state
            source = index if index in self.leaves else None
        elif equation.primitive.name in SLIDING and call not in self.leaves:
            source = -id(equation)
        if source is None:
            return state
        return tuple(replace(axis, source=frozenset({source})) if isinstance(axis, Local) else axis for axis in state)

    def _transfer(self, equation: jaxprs.JaxprEqn, axes: Sequence[Axis], k: int) -> list[Axis]:
        try:
            return transfer(equation, list(axes), self.positions[k])
        except Inexact:
            self.treated_as_global.add(equation.primitive.name)
            return [Reach.WHOLE] * len(equation.outvars)

    def _merge(self, states: Sequence[State], shape: Shape, name: str) -> State:
        merged: list[Axis] = []
        for k, axes in enumerate(zip(*states, strict=True)):
            try:
                merged.append(merge(axes, shape, self.positions[k]))
            except Inexact:
                self.treated_as_global.add(name)
                merged.append(Reach.WHOLE)
        return tuple(merged)

    def _scan(self, scan: jaxprs.Scan, equation: jaxprs.JaxprEqn, operands: list[State], call: int) -> list[State]:
        """Run the body as often as the scan does, or until nothing changes any more."""
        kept = scan.constants + scan.carried
        constants, carried = operands[: scan.constants], operands[scan.constants : kept]
        rows = [self._moved(state, -1) for state in operands[kept:]]
        seen: list[list[State]] = []
        for _ in range(min(scan.length, _LONGEST_SCAN)):
            results = self.run(scan.body, [*constants, *carried, *rows], call)
            seen.append(results[scan.carried :])
            if results[: scan.carried] == carried:
                break
            carried = results[: scan.carried]
        else:
            if scan.length > _LONGEST_SCAN:
                self.treated_as_global.add("scan")
                return [self._all(Reach.WHOLE)] * len(equation.outvars)
        stacked = zip(equation.outvars[scan.carried :], zip(*seen, strict=True), strict=True)
        return [
            *carried,
            *(self._moved(self._merge(states, jaxprs.shape(out)[1:], "scan"), 1) for out, states in stacked),
        ]

    def _moved(self, state: State, by: int) -> State:
        """The state of an array that lost (-1) or got (1) a leading axis, over which a scan goes."""
        if any(isinstance(axis, Local) and axis.axis + by < 0 for axis in state):
            self.treated_as_global.add("scan")
            return self._all(Reach.WHOLE)
        return tuple(replace(axis, axis=axis.axis + by) if isinstance(axis, Local) else axis for axis in state)

    def _extent(self, k: int, shape: Shape, state: State) -> Extent | None:
        axis = state[k]
        if not isinstance(axis, Local):
            return None
        shared = any(isinstance(other, Local) and other.axis == axis.axis for other in (*state[:k], *state[k + 1 :]))
        flat = axis.axis == len(shape) - 1 and axis.units != shape[-1]
        if shared or flat:  # flattened
            return None
        try:
            axis = plain(axis, shape)
        except Inexact:
            self.treated_as_global.add("reshape")
            return None
        return windows.extent(axis.field, axis.units, self.positions[k])

    def _all(self, reach: Reach) -> State:
        return (reach,) * len(self.positions)
