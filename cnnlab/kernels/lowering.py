"""oneDNN in the place of XLA's own convolution on the CPU.

JAX's rule that lowers `conv_general_dilated` for the CPU is replaced, not the models' code: every model, its
gradients, vmap and remat have it, and jaxprs look as before. The one module here that uses what JAX keeps private;
what it relies on was read in jax 0.10.2.
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.interpreters import mlir

from cnnlab.kernels import build
from cnnlab.kernels.problem import INPUT_GRADIENT, Call, Dimensions, Problem, recognise

OLDEST, NEWEST = (0, 10, 2), (0, 13)
Rule = Callable[..., Any]

_switch = {"on": True, "native": True}


@contextmanager
def switched(on: bool, *, native: bool = True) -> Iterator[None]:
    """While open, new programs are lowered to XLA's own operations, or (on) to what is faster: for comparisons.

    That is the kernels, and plain formulas (see plain.py) where there are none or `native` is not wanted. What was
    jitted before keeps what it has, so use new functions.
    """
    before = dict(_switch)
    _switch.update(on=on, native=native)
    try:
        yield
    finally:
        _switch.update(before)


def _one_device(context: Any) -> bool:
    """Whether a program sees whole arrays: one device, or a shard_map over all axes of its mesh."""
    from jax._src import sharding_impls

    axes = context.axis_context
    if isinstance(axes, sharding_impls.ShardingContext):
        return axes.num_devices == 1
    if isinstance(axes, sharding_impls.SPMDAxisContext):
        return axes.manual_axes == frozenset(axes.mesh.axis_names)
    return False


def switched_on() -> bool:
    """Whether programs that are traced now are for the kernels; see `switched`."""
    return _switch["on"] and _switch["native"]


def applies(context: Any, *, native: bool = True) -> bool:
    """Whether a kernel may do an equation that is being lowered: on the CPU, on whole arrays, not for export.

    Not `native`: whether a plain formula may.
    """
    module = context.module_context
    wanted = switched_on() if native else _switch["on"]
    if not wanted or not _one_device(module) or module.lowering_parameters.for_export:
        return False
    return tuple(context.platforms or module.platforms) == ("cpu",)


def call_of(context: Any, parameters: dict[str, Any], *, native: bool = True) -> Call | None:
    """What oneDNN, or else a plain formula, may do for an equation; None where XLA's own rule stays."""
    if not applies(context, native=native) or parameters.get("out_sharding") is not None:
        return None
    lhs, rhs = context.avals_in
    (out,) = context.avals_out
    padding = parameters["padding"]
    every = [*lhs.shape, *rhs.shape, *out.shape, *(n for pair in padding for n in pair)]
    if not all(isinstance(n, int | np.integer) for n in every) or lhs.dtype != rhs.dtype:
        return None
    return recognise(
        lhs.shape,
        rhs.shape,
        out.shape,
        stride=tuple(parameters["window_strides"]),
        padding=padding,
        lhs_dilation=tuple(parameters["lhs_dilation"]),
        rhs_dilation=tuple(parameters["rhs_dilation"]),
        dimensions=Dimensions(*(tuple(spec) for spec in parameters["dimension_numbers"])),
        feature_groups=parameters["feature_group_count"],
        batch_groups=parameters["batch_group_count"],
        # A formula works in any numbers.
        operand=lhs.dtype.name if native else "float32",
        result=out.dtype.name if native else "float32",
    )


def _reverse(value: Any, axes: list[int]) -> Any:
    """`value` with its axes running the other way; JAX's own reverse of a gradient cancels with it in XLA."""
    from jax._src.lib.mlir.dialects import hlo

    return hlo.reverse(value, mlir.dense_int_array(axes))


def _padded(value: Any, around: tuple[tuple[int, int], ...], dtype: Any) -> Any:
    """A map [batch, *space, channels] with zeros around it."""
    from jax._src.lib.mlir.dialects import hlo

    low, high = ([0, *side, 0] for side in zip(*around, strict=True))
    zero = mlir.ir_constant(np.zeros((), dtype))
    return hlo.pad(value, zero, *(mlir.dense_int_array(n) for n in (low, high, [0] * len(low))))


def transposed(value: Any) -> Any:
    """A matrix turned over."""
    from jax._src.lib.mlir.dialects import hlo

    return hlo.transpose(value, mlir.dense_int_array([1, 0]))


def is_fast(library: ctypes.CDLL, problem: Problem) -> bool:
    """Whether `library` has more than a reference for a problem."""
    numbers, said = problem.numbers(), ctypes.create_string_buffer(256)
    given = (ctypes.c_int64 * len(numbers))(*numbers)
    return not library.cnnlab_convolution_probe(given, len(os.sched_getaffinity(0)), said, len(said))


def _rule(library: ctypes.CDLL, target: str, original: Rule) -> Rule:
    """The lowering rule that asks `library` first and `original` where it has nothing fast."""

    def rule(context: Any, lhs: Any, rhs: Any, **parameters: Any) -> Any:
        call = call_of(context, parameters)
        if call is None or not is_fast(library, call.problem):
            return original(context, lhs, rhs, **parameters)
        _, kernel, made = parameters["dimension_numbers"]
        if call.problem.kind == INPUT_GRADIENT and call.reversed_weights:
            rhs = _reverse(rhs, list(kernel[2:]))
        operands = [rhs, lhs] if call.swapped else [lhs, rhs]
        if call.around:
            operands[0] = _padded(operands[0], call.around, context.avals_in[0].dtype)
        emit = jax.ffi.ffi_lowering(
            target,
            operand_layouts=[tuple(reversed(range(lhs.type.rank)))] * 2,
            backend_config={"problem": mlir.dense_int_array(call.problem.numbers())},
        )
        (result,) = emit(context, *operands)
        if call.problem.kind != INPUT_GRADIENT and call.reversed_weights:
            result = _reverse(result, list(made[2:]))
        return [result]

    return rule


def present_rule(primitive: Any) -> Rule:
    """The rule by which a primitive is lowered for the CPU now; Unavailable where it cannot be had."""
    if not OLDEST <= jax.__version_info__ < NEWEST:
        raise build.Unavailable(f"they have not been tried with jax {jax.__version__}")
    try:
        from jax._src.interpreters.mlir import _platform_specific_lowerings

        entry: Any = _platform_specific_lowerings["cpu"][primitive]
    except (ImportError, KeyError, TypeError):
        raise build.Unavailable(
            f"jax {jax.__version__} keeps its rules for the CPU where they cannot be found"
        ) from None
    return getattr(entry, "rule", entry)


def install(library: ctypes.CDLL) -> None:
    """Registers the library's convolution with XLA and puts its rule before JAX's; Unavailable says why it cannot."""
    original = present_rule(jax.lax.conv_general_dilated_p)
    library.cnnlab_convolution_probe.argtypes = (
        ctypes.POINTER(ctypes.c_int64),
        ctypes.c_int64,
        ctypes.c_char_p,
        ctypes.c_size_t,
    )
    # A program in the persistent cache names its target: another source is another name, and never the wrong code.
    target = f"cnnlab_convolution_{build.key()}"
    jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(library.cnnlab_convolution), platform="cpu")
    mlir.register_lowering(jax.lax.conv_general_dilated_p, _rule(library, target, original), platform="cpu")
