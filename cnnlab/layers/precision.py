"""Layers in the numbers of what they are given: a bfloat16 map stays one, and parameters stay float32.

What is multiplied, kernels, is cast to the map's type; products are summed in float32. What works number by number,
biases and slopes, is computed in the parameter's type and the result cast, for the sake of its gradient: that is a
sum over all positions, which XLA on the CPU would take in bfloat16, where it stops growing at 256 ones.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike


def at_least_float32(x: Array) -> DTypeLike:
    """The type to take sums of x in: float32, or x's own where that is wider."""
    return jnp.promote_types(x.dtype, jnp.float32)


def product(x: Array, kernel: Array | np.ndarray) -> Array:
    """x [batch, in_features] @ kernel [in_features, features] in the type of x."""
    return _narrow_product(x, kernel) if x.dtype == jnp.bfloat16 else x @ kernel.astype(x.dtype)


@jax.custom_vjp
def _narrow_product(x: Array, kernel: Array | np.ndarray) -> Array:
    """Of bfloat16 operands, every product to float32 first, so that the kernel's gradient is not rounded at all.

    On the CPU, XLA's products that give bfloat16 themselves take 1.5 to 3 times as long.
    """
    return _dot(x, kernel.astype(x.dtype), 1, 0).astype(x.dtype)


def _forward(x: Array, kernel: Array | np.ndarray) -> tuple[Array, tuple[Array, Array | np.ndarray]]:
    return _narrow_product(x, kernel), (x, kernel)


def _backward(kept: tuple[Array, Array | np.ndarray], dy: Array) -> tuple[Array, Array]:
    x, kernel = kept
    return _dot(dy, kernel.astype(x.dtype), 1, 1).astype(x.dtype), _dot(dy, x, 0, 0).T.astype(kernel.dtype)


_narrow_product.defvjp(_forward, _backward)


def _dot(a: Array, b: Array | np.ndarray, of_a: int, of_b: int) -> Array:
    """Summed over an axis of each, in float32."""
    return jax.lax.dot_general(a, b, (((of_a,), (of_b,)), ((), ())), preferred_element_type=jnp.float32)
