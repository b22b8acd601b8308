"""Convolution in evaluation with what follows it: a factor and a bias for each channel, a map added, an activation.

A primitive of JAX's with a plain formulation for every platform. On the CPU, where the library is in use and a program
sees whole arrays, it is one call of oneDNN's: the map is written once, and nothing passes over it again.
"""

import ctypes
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import ShapedArray
from jax.interpreters import mlir

from cnnlab.kernels import batch_norm, lowering
from cnnlab.kernels.batch_norm import Activation
from cnnlab.kernels.primitive import Rule, lowered, plain_rule, primitive
from cnnlab.kernels.problem import FORWARD, Dimensions, Problem, recognise

# In the order of the kernel's own list in problem.h.
ACTIVATIONS: dict[Activation, Callable[[Array], Array]] = {
    **batch_norm.ACTIVATIONS,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
}


class Windows(NamedTuple):
    """Where a convolution's windows lie; as `jax.lax.conv_general_dilated` has it, but `groups` of channels."""

    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int


def convolution(
    x: Array,
    kernel: Array,
    factor: Array,
    bias: Array,
    windows: Windows,
    activation: Activation = "identity",
    residual: Array | None = None,
) -> Array:
    """activation(convolution(x, kernel) * factor + bias + residual) in the type of x, summed in float32 at least.

    x is [batch, *space, channel] and kernel [*window, channel / groups, feature]; factor and bias are [feature], and
    the residual has the shape of the result.
    """
    wide = jnp.promote_types(x.dtype, jnp.float32)
    added = () if residual is None else (residual.astype(x.dtype),)
    operands = (x, *(a.astype(wide) for a in (kernel, factor, bias)), *added)
    (y,) = convolution_p.bind(*operands, windows=windows, activation=activation)
    return y


def _dimensions(rank: int) -> Dimensions:
    """Maps channels-last, and kernels with the output channel last."""
    maps = (0, rank - 1, *range(1, rank - 1))
    return Dimensions(maps, (rank - 1, rank - 2, *range(rank - 2)), maps)


def _plain(
    x: Array, kernel: Array, factor: Array, bias: Array, *residual: Array, windows: Windows, activation: Activation
) -> list[Array]:
    y = jax.lax.conv_general_dilated(
        x,
        (kernel * factor).astype(x.dtype),
        windows.stride,
        windows.padding,
        rhs_dilation=windows.dilation,
        dimension_numbers=jax.lax.ConvDimensionNumbers(*_dimensions(x.ndim)),
        feature_group_count=windows.groups,
        preferred_element_type=bias.dtype,
    )
    z = y + bias
    for added in residual:
        z = z + added
    return [ACTIVATIONS[activation](z).astype(x.dtype)]


def _shapes(x: Any, kernel: Any, factor: Any, bias: Any, *residual: Any, **parameters: Any) -> list[Any]:
    given = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (x, kernel, factor, bias)]
    (made,) = jax.eval_shape(lambda *a: _plain(*a, **parameters), *given)
    return [ShapedArray(made.shape, made.dtype)]


convolution_p = primitive("convolution_after", _plain, _shapes, ("windows", "activation"))


def _problem_of(context: Any, windows: Windows, activation: Activation) -> Problem | None:
    """What oneDNN may do for an equation, or None where the plain form stays."""
    if not lowering.applies(context):
        return None
    x, kernel, factor, *_ = context.avals_in
    (y,) = context.avals_out
    numbers = [n for a in (x, kernel, y) for n in a.shape]
    if factor.dtype.name != "float32" or not all(isinstance(n, int | np.integer) for n in numbers):
        return None
    call = recognise(
        x.shape,
        kernel.shape,
        y.shape,
        stride=windows.stride,
        padding=windows.padding,
        lhs_dilation=(1,) * len(windows.stride),
        rhs_dilation=windows.dilation,
        dimensions=_dimensions(len(x.shape)),
        feature_groups=windows.groups,
        batch_groups=1,
        operand=x.dtype.name,
        result=x.dtype.name,
    )
    if call is None or call.around or call.problem.kind != FORWARD:
        return None
    after = 1 + list(ACTIVATIONS).index(activation)
    return replace(call.problem, after=after, residual=len(context.avals_in) == 5)


def install(library: ctypes.CDLL) -> None:
    """Registers the library's kernel with XLA and lowers the primitive to it. Call it after lowering.install."""

    def call(target: str, original: Rule) -> Rule:
        """The lowering rule that asks `library` first and takes the plain form where it has nothing fast."""

        def rule(context: Any, *operands: Any, windows: Windows, activation: Activation) -> Any:
            problem = _problem_of(context, windows, activation)
            if problem is None or not lowering.is_fast(library, problem):
                return original(context, *operands, windows=windows, activation=activation)
            # The result takes the place of the map that is added to it.
            emit = jax.ffi.ffi_lowering(
                target,
                operand_output_aliases={4: 0} if problem.residual else {},
                backend_config={"problem": mlir.dense_int_array(problem.numbers())},
            )
            return emit(context, *operands)

        return rule

    lowered(convolution_p, plain_rule(_plain), library.cnnlab_convolution_after, call)
