"""One layer's output as a function of the input: the model's equations, up to the one that marks it."""

from collections.abc import Sequence
from typing import Any

from jax import Array
from jax.extend.core import jaxpr_as_fun

from cnnlab.errors import CnnlabError
from cnnlab.trace import jaxprs
from cnnlab.trace.walk import Call, Traced, output_of


def output(traced: Traced, call: Call, x: Array, state: Sequence[Any]) -> Array:
    """The first output [1, ...] of a call for x [1, *input_shape], in evaluation mode.

    `state` is the leaves of `nnx.state(model)`, of the model that was traced or of another one of its structure. What
    comes after the layer is not computed; jit, vmap and grad of this function are as of any other. Raises CnnlabError
    for a layer inside a loop or a condition, which has no output of its own.
    """
    found = _output(traced.jaxpr, [x, *state], call.index)
    if found is None:
        message = f"'{call.path}' is called inside a loop or a condition of the model, and its output cannot be read"
        raise CnnlabError(message, hint="name a layer that is not")
    return found


def _output(jaxpr: jaxprs.ClosedJaxpr, arguments: Sequence[Any], index: int) -> Array | None:
    for place, equation in enumerate(jaxprs.opened(jaxpr).eqns):
        if output_of(equation) == (index, 0):
            return _operands(jaxpr, place, arguments)[0]
        if jaxprs.inner(equation) is not None and any(_marked(body, index) for body in jaxprs.nested(equation)):
            return _output(_closed(equation), _operands(jaxpr, place, arguments), index)
    return None


def _operands(jaxpr: jaxprs.ClosedJaxpr, place: int, arguments: Sequence[Any]) -> list[Any]:
    """What the equation at `place` is given; only the equations before it run."""
    whole = jaxprs.opened(jaxpr)
    before = whole.replace(eqns=whole.eqns[:place], outvars=whole.eqns[place].invars)
    return jaxpr_as_fun(jaxprs.ClosedJaxpr(before, jaxpr.consts))(*arguments)


def _marked(jaxpr: jaxprs.Jaxpr, index: int) -> bool:
    return any(
        output_of(equation) == (index, 0) or any(_marked(body, index) for body in jaxprs.nested(equation))
        for equation in jaxpr.eqns
    )


def _closed(equation: jaxprs.JaxprEqn) -> jaxprs.ClosedJaxpr:
    """The jaxpr that an equation runs on its operands, with its constants; one that is open has none."""
    body = jaxprs.inner(equation)
    assert body is not None
    for value in equation.params.values():
        if isinstance(value, jaxprs.ClosedJaxpr) and jaxprs.opened(value) is body:
            return value
    return jaxprs.ClosedJaxpr(body, ())
