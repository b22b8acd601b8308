"""What JAX moves between releases: the inside of a jaxpr. Other modules ask here, and only here.

Works with jax 0.10 (closed and open jaxprs are two classes, a scan counts its operands) to 0.12 (one class,
a scan keeps trees of operands).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var

__all__ = [
    "ClosedJaxpr",
    "Jaxpr",
    "JaxprEqn",
    "Literal",
    "Scan",
    "Var",
    "branches",
    "constants",
    "inner",
    "label",
    "labelled",
    "nested",
    "opened",
    "scan",
    "scopes",
    "shape",
]

# Equations that just run one jaxpr on their own operands.
_CALLS = frozenset(
    {
        *("jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2"),
        *("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"),
    }
)


class Scan(NamedTuple):
    """A scan's body takes `constants` operands, then `carried` ones, then a slice of each other operand."""

    body: Jaxpr
    constants: int
    carried: int
    length: int


def opened(jaxpr: ClosedJaxpr | Jaxpr) -> Jaxpr:
    """The jaxpr without the values of its constants."""
    return jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr


def constants(jaxpr: ClosedJaxpr) -> list[Any]:
    """The values of a jaxpr's constants, as NumPy arrays."""
    return [np.asarray(value) for value in jaxpr.consts]


def nested(equation: JaxprEqn) -> Iterator[Jaxpr]:
    """Every jaxpr in an equation's parameters: bodies, branches, conditions, reducers."""
    for value in equation.params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, ClosedJaxpr | Jaxpr):
                yield opened(item)


def inner(equation: JaxprEqn) -> Jaxpr | None:
    """The jaxpr that an equation (jit, custom_jvp, remat, ...) simply runs on its operands, if it does that."""
    return next(nested(equation), None) if equation.primitive.name in _CALLS else None


def scan(equation: JaxprEqn) -> Scan | None:
    """The parts of a scan; None for every other equation."""
    if equation.primitive.name != "scan":
        return None
    params = equation.params
    if "num_consts" in params:
        constants, carried = params["num_consts"], params["num_carry"]
    else:  # jax 0.12
        constants, carried = (len(tree) for tree in params["ft_in"].unpack()[:2])
    return Scan(opened(params["jaxpr"]), constants, carried, params["length"])


def branches(equation: JaxprEqn) -> tuple[Jaxpr, ...]:
    """The branches of a cond, whose first operand chooses; empty for every other equation."""
    return tuple(nested(equation)) if equation.primitive.name == "cond" else ()


def shape(atom: Var | Literal) -> tuple[int, ...]:
    """The shape of an operand or output."""
    aval: Any = atom.aval
    return tuple(aval.shape)


def scopes(equation: JaxprEqn) -> str:
    """The `jax.named_scope` names around an equation, outermost first, within its own jaxpr: ``a/vmap(b)``."""
    return str(equation.source_info.name_stack)


def label(value: Any, name: str) -> Any:
    """The array itself, passed through an equation that carries `name`."""
    return checkpoint_name(value, name)


def labelled(equation: JaxprEqn) -> str:
    """The name that `label` gave an equation, or an empty string."""
    return equation.params["name"] if equation.primitive.name == "name" else ""
