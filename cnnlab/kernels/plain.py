"""Plain JAX formulas in the place of XLA's slowest operations on the CPU, wherever the native kernels are not.

As in lowering.py it is rules for the CPU that are replaced; jaxprs look as before.
"""

import functools
from typing import Any

import jax
from jax.interpreters import mlir

from cnnlab.kernels import lowering
from cnnlab.kernels.formulas import formula_of
from cnnlab.kernels.problem import Dimensions

TYPES = ("float32", "bfloat16", "float64")
_installed = {"yes": False}


def _rule(original: lowering.Rule) -> lowering.Rule:
    """The lowering rule that takes a formula where there is a faster one and `original` elsewhere."""

    def rule(context: Any, lhs: Any, rhs: Any, **parameters: Any) -> Any:
        call = lowering.call_of(context, parameters, native=False)
        (out,) = context.avals_out
        if call is None or call.around or context.avals_in[0].dtype.name not in TYPES:
            return original(context, lhs, rhs, **parameters)
        dimensions = Dimensions(*(tuple(spec) for spec in parameters["dimension_numbers"]))
        formula = formula_of(call, dimensions, out.dtype)
        if formula is None:
            return original(context, lhs, rhs, **parameters)
        return mlir.lower_fun(formula, multiple_results=False)(context, lhs, rhs)

    return rule


def install() -> None:
    """Puts the formulas before JAX's rule; build.Unavailable says why it cannot. Before lowering.install, and once."""
    if not _installed["yes"]:
        rule = _rule(lowering.present_rule(jax.lax.conv_general_dilated_p))
        mlir.register_lowering(jax.lax.conv_general_dilated_p, rule, platform="cpu")
        _installed["yes"] = True


@functools.cache
def compiler_options() -> dict[str, str]:
    """Leaves convolutions to Eigen and not to YNNPACK, where this JAX knows the option.

    Milliseconds of 3x3, 64 channels, 16x32x32, forward / input gradient / weight gradient: 7.0/7.1/8.5 instead of
    12.4/12.3/13.1; 7.0 instead of 2.5 for the weight gradient of a single image, which is seldom trained on. Products
    and sums stay as they come: without YNNPACK a sum over 8x56x56x256 takes 8 ms instead of 0.8.
    """
    kinds = "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
    options = {"xla_cpu_experimental_ynn_fusion_type": kinds}
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return options
