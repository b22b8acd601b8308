"""Max-pooling by kernels of our own in the place of XLA's on the CPU, where a window's gradient takes 36 times as long.

As in lowering.py it is JAX's rules for the CPU that are replaced, of `reduce_window_max` and of its gradient
`select_and_scatter_add`; jaxprs look as before.
"""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from math import prod
from typing import Any

import jax
import numpy as np
from jax.interpreters import mlir

from cnnlab.kernels import build, lowering

Three = tuple[int, int, int]
TYPES = {"float32": 0, "bfloat16": 1}
_installed = {"yes": False}


@dataclass(frozen=True)
class Pooling:
    """A max-pool as the kernel takes it: [batch, *size, channels] to [batch, *out, channels].

    Fewer than three spatial axes begin with axes of one position; `pad` stands before the first position.
    """

    batch: int
    channels: int
    size: Three
    out: Three
    window: Three
    stride: Three
    pad: Three
    type: int

    def numbers(self) -> list[int]:
        """Every number in the order of the kernel's own structure in pool.cc."""
        return [n for value in astuple(self) for n in (value if isinstance(value, tuple) else (value,))]


def recognise(
    shape: Sequence[int],
    out: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dtype: str,
) -> Pooling | None:
    """The kernel's max-pool for windows over a map of any axes, or None where it has none.

    Space is what lies from the first axis that is pooled to the last, three axes at most, and something follows it:
    the channels. Axes before it are examples (those of vmap among them). A window that lies in the padding alone
    is none of the kernel's.
    """
    axes = enumerate(zip(window, stride, padding, strict=True))
    pooled = [axis for axis, (k, s, (low, high)) in axes if (k, s, low, high) != (1, 1, 0, 0)]
    if dtype not in TYPES or not pooled or prod(shape) == 0:
        return None
    first, last = pooled[0], pooled[-1] + 1
    if last - first > 3 or last == len(shape):
        return None
    if any(not 0 <= beside < k for k, pad in zip(window, padding, strict=True) for beside in pad):
        return None

    def space(numbers: Sequence[int], fill: int) -> Three:
        a, b, c = (*[fill] * (3 - last + first), *(int(n) for n in numbers[first:last]))
        return a, b, c

    return Pooling(
        batch=prod(shape[:first]),
        channels=prod(shape[last:]),
        size=space(shape, 1),
        out=space(out, 1),
        window=space(window, 1),
        stride=space(stride, 1),
        pad=space([before for before, _ in padding], 0),
        type=TYPES[dtype],
    )


def reduce_window_is_fast(dtype: np.dtype) -> bool:
    """Whether `jax.lax.reduce_window`, traced now for a maximum, is fast here, its gradient included."""
    if jax.default_backend() != "cpu":
        return True
    one = jax.device_count() == 1  # kernels take whole arrays
    return one and _installed["yes"] and lowering.switched_on() and dtype.name in TYPES


def _pooling_of(context: Any, operand: Any, pooled: Any, parameters: dict[str, Any]) -> Pooling | None:
    """What the kernel may do for an equation, or None where XLA's own rule stays."""
    if not lowering.applies(context) or operand.dtype != pooled.dtype:
        return None
    if any(d != 1 for key in ("base_dilation", "window_dilation") for d in parameters.get(key, ())):
        return None
    if parameters.get("select_prim", jax.lax.ge_p) is not jax.lax.ge_p:
        return None  # the gradient of a minimum
    if not all(isinstance(n, int | np.integer) for n in (*operand.shape, *pooled.shape)):
        return None
    return recognise(
        operand.shape,
        pooled.shape,
        parameters["window_dimensions"],
        parameters["window_strides"],
        parameters["padding"],
        operand.dtype.name,
    )


def _rule(target: str, original: Callable[..., Any], gradient: bool) -> Callable[..., Any]:
    """The lowering rule that takes the kernel where it may and `original` elsewhere."""

    def rule(context: Any, *operands: Any, **parameters: Any) -> Any:
        pooled, operand = context.avals_in if gradient else (context.avals_out[0], context.avals_in[0])
        pooling = _pooling_of(context, operand, pooled, parameters)
        if pooling is None:
            return original(context, *operands, **parameters)
        emit = jax.ffi.ffi_lowering(target, backend_config={"pooling": mlir.dense_int_array(pooling.numbers())})
        return emit(context, *operands)

    return rule


def install(library: ctypes.CDLL) -> None:
    """Registers the library's max-pool with XLA and puts its rules before JAX's; Unavailable says why it cannot.

    Call it after lowering.install, which asks whether these are the versions of JAX that were tried. Once is enough.
    """
    if _installed["yes"]:
        return
    try:
        from jax._src.interpreters.mlir import _lowerings, _platform_specific_lowerings

        on_cpu = _platform_specific_lowerings["cpu"]
        maximum, scatter = jax.lax.reduce_window_max_p, jax.lax.select_and_scatter_add_p
        entries: list[Any] = [on_cpu.get(p) or _lowerings[p] for p in (maximum, scatter)]
    except (ImportError, KeyError, TypeError, AttributeError):
        raise build.Unavailable(
            f"jax {jax.__version__} keeps its rules for pooling where they cannot be found"
        ) from None
    kernels = (library.cnnlab_max_pool, library.cnnlab_max_pool_gradient)
    for primitive, entry, kernel in zip((maximum, scatter), entries, kernels, strict=True):
        target = f"{kernel.__name__}_{build.key()}"
        jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(kernel), platform="cpu")
        rule = _rule(target, getattr(entry, "rule", entry), gradient=primitive is scatter)
        mlir.register_lowering(primitive, rule, platform="cpu")
    _installed["yes"] = True
