"""What does not depend on the image and is known without weights: indices, the weights of a resize."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnlab.trace.jaxprs import JaxprEqn, shape

_LARGEST = 2**22  # entries


def fold(equation: JaxprEqn, operands: Sequence[Any]) -> np.ndarray | None:
    """An equation's output from known operands, in NumPy; None where one is not known, or that is not worked out."""
    if any(operand is None for operand in operands):
        return None
    rule = _RULES.get(equation.primitive.name)
    out = shape(equation.outvars[0])
    if rule is None or int(np.prod(out)) > _LARGEST:
        return None
    with np.errstate(all="ignore"):
        found = np.asarray(rule(equation.params, *operands))
    return found if found.shape == out else None


def _iota(params: dict[str, Any]) -> np.ndarray:
    size = params["shape"][params["dimension"]]
    along = [size if d == params["dimension"] else 1 for d in range(len(params["shape"]))]
    return np.broadcast_to(np.arange(size).reshape(along), params["shape"]).astype(params["dtype"])


def _broadcast(params: dict[str, Any], x: np.ndarray) -> np.ndarray:
    along = [1] * len(params["shape"])
    for to, size in zip(params["broadcast_dimensions"], x.shape, strict=True):
        along[to] = size
    return np.broadcast_to(x.reshape(along), params["shape"])


def _divide(params: dict[str, Any], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.trunc(x / y).astype(x.dtype) if np.issubdtype(x.dtype, np.integer) else x / y


def _select(params: dict[str, Any], which: np.ndarray, *cases: np.ndarray) -> np.ndarray:
    return np.choose(which.astype(int), np.broadcast_arrays(*cases))


def _slice(params: dict[str, Any], x: np.ndarray) -> np.ndarray:
    steps = params["strides"] or (1,) * x.ndim
    return x[tuple(map(slice, params["start_indices"], params["limit_indices"], steps))]


def _dot(params: dict[str, Any], x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    (left, right), (batch, _) = params["dimension_numbers"]
    return None if batch else np.tensordot(x, y, (left, right))


def _elementwise(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda params, *operands: function(*operands)


def _over(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda params, x: function(x, axis=tuple(params["axes"]))


_RULES: dict[str, Callable[..., Any]] = {
    "iota": _iota,
    "broadcast_in_dim": _broadcast,
    "reshape": lambda params, x: x.reshape(params["new_sizes"]),
    "squeeze": lambda params, x: x.squeeze(tuple(params["dimensions"])),
    "transpose": lambda params, x: x.transpose(params["permutation"]),
    "concatenate": lambda params, *parts: np.concatenate(parts, params["dimension"]),
    "convert_element_type": lambda params, x: x.astype(params["new_dtype"]),
    "rev": lambda params, x: np.flip(x, params["dimensions"]),
    "slice": _slice,
    "select_n": _select,
    "div": _divide,
    "dot_general": _dot,
    "integer_pow": lambda params, x: x ** params["y"],
    "clamp": _elementwise(lambda low, x, high: np.clip(x, low, high)),
    "sign": _elementwise(np.sign),
    "rem": _elementwise(np.fmod),
    **{
        name: _elementwise(getattr(np, function))
        for name, function in {
            "add": "add", "sub": "subtract", "mul": "multiply", "max": "maximum", "min": "minimum", "neg": "negative",
            "abs": "abs", "floor": "floor", "ceil": "ceil", "round": "rint", "sqrt": "sqrt", "sin": "sin",
            "cos": "cos", "exp": "exp", "log": "log", "tanh": "tanh", "pow": "power", "square": "square",
            "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal",
            "ne": "not_equal", "and": "bitwise_and", "or": "bitwise_or", "not": "invert", "copy": "copy",
        }.items()
    },
    **{
        name: _over(function)
        for name, function in {
            "reduce_sum": np.sum, "reduce_max": np.max, "reduce_min": np.min, "reduce_prod": np.prod,
            "reduce_and": np.all, "reduce_or": np.any,
        }.items()
    },
}  # fmt: skip
