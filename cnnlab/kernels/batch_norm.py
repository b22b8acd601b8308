"""Batch normalisation in training, with what follows it: a map added, an activation.

Two primitives of JAX's, the layer and its gradient, each with a plain formulation for every platform. On the CPU,
where the library is in use and a program sees whole arrays, they are lowered to its kernels: they read a map twice and
write it once, and of what the gradient needs keep nothing but the maps that the network keeps anyway.
"""

import ctypes
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import ShapedArray
from jax.interpreters import mlir

from cnnlab.kernels import lowering
from cnnlab.kernels.primitive import Rule, kernel_may, lowered, primitive, varies
from cnnlab.kernels.sums import sum_by_product

# A convolution in evaluation knows all of them, batch normalisation those of its table.
Activation = Literal["identity", "relu", "swish", "tanh", "sigmoid"]

# In the order of the kernel's own list in batch_norm.h.
ACTIVATIONS: dict[Activation, Callable[[Array], Array]] = {
    "identity": lambda z: z,
    "relu": jax.nn.relu,
    "swish": jax.nn.silu,
}


def batch_norm(
    x: Array,
    scale: Array,
    bias: Array,
    epsilon: float,
    activation: Activation = "identity",
    residual: Array | None = None,
) -> tuple[Array, Array, Array]:
    """y, and the mean and biased variance of each channel of `x` [..., channel].

    y = activation((x - mean) / sqrt(variance + epsilon) * scale + bias + residual), in the type of x; all between is
    done in float32 at least, the type of mean and variance. The residual has x's shape. No gradient flows through
    mean and variance as they are returned: they are for running statistics; that of y takes account of them.
    """
    wide = jnp.promote_types(x.dtype, jnp.float32)
    added = () if residual is None else (residual.astype(x.dtype),)
    operands = (x, scale.astype(wide), bias.astype(wide), *added)
    if any(map(varies, operands)):
        made: Any = _plain(*operands, epsilon=epsilon, activation=activation)
    else:
        made = _batch_norm(epsilon, activation, *operands)
    y, mean, variance = made
    return y, jax.lax.stop_gradient(mean), jax.lax.stop_gradient(variance)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _batch_norm(epsilon: float, activation: Activation, *operands: Array) -> list[Array]:
    return batch_norm_p.bind(*operands, epsilon=epsilon, activation=activation)


def _forward(epsilon: float, activation: Activation, *operands: Array) -> Any:
    made: Any = batch_norm_p.bind(*operands, epsilon=epsilon, activation=activation)
    x, scale, bias, *residual = operands
    # What the activation saw follows from x; with a residual from y too, or else from the residual.
    third = {"identity": [], "relu": [made[0]], "swish": residual}[activation] if residual else []
    return made, (x, scale, bias, *made[1:], third, bool(residual))


def _backward(epsilon: float, activation: Activation, saved: Any, gradients: Any) -> tuple[Array, ...]:
    x, scale, bias, mean, variance, third, residual = saved
    dy = gradients[0]
    operands = (x, dy, scale, bias, mean, variance, *third)
    made: Any = gradient_p.bind(*operands, epsilon=epsilon, activation=activation)
    return tuple(made) if third or not residual else (*made, dy)


_batch_norm.defvjp(_forward, _backward)


Sums = Callable[[Array], Array]


def _sum(terms: Array) -> Array:
    """Over all axes but the last."""
    return terms.sum(range(terms.ndim - 1))


def _plain(
    x: Array, scale: Array, bias: Array, *residual: Array, epsilon: float, activation: Activation, sums: Sums = _sum
) -> list[Array]:
    count = x.size // x.shape[-1]
    wide = x.astype(scale.dtype)
    # A large mean is not summed with what differs from it: a sum of many terms would lose the digits of that.
    first = jax.lax.stop_gradient(wide.reshape(-1, x.shape[-1])[:1].sum(0))
    mean = first + sums(wide - first) / count
    variance = sums(jnp.square(wide - mean)) / count
    z = (wide - mean) * (jax.lax.rsqrt(variance + epsilon) * scale) + bias
    for added in residual:
        z = z + added
    return [ACTIVATIONS[activation](z).astype(x.dtype), mean, variance]


def _plain_gradient(
    x: Array,
    dy: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    variance: Array,
    *third: Array,
    epsilon: float,
    activation: Activation,
    sums: Sums = _sum,
) -> list[Array]:
    count = x.size // x.shape[-1]
    inverse = jax.lax.rsqrt(variance + epsilon)
    normal = (x.astype(scale.dtype) - mean) * inverse
    dz = dy.astype(scale.dtype)
    if activation == "relu" and third:
        dz = jnp.where(third[0] > 0, dz, 0)
    else:
        z = normal * scale + bias
        for added in third:
            z = z + added
        dz = jax.vjp(ACTIVATIONS[activation], z)[1](dz)[0]
    dbias, dscale = sums(dz), sums(dz * normal)
    dx = scale * inverse * (dz - dbias / count - normal * (dscale / count))
    return [dx.astype(x.dtype), dscale, dbias, *(dz.astype(x.dtype) for _ in third)]


def _shapes(x: Any, scale: Any, bias: Any, *residual: Any, epsilon: float, activation: str) -> list[Any]:
    return [ShapedArray(x.shape, x.dtype), *(ShapedArray(scale.shape, scale.dtype),) * 2]


def _shapes_of_gradient(x: Any, dy: Any, scale: Any, *others: Any, epsilon: float, activation: str) -> list[Any]:
    (of_x, *of_scale), third = _shapes(x, scale, scale, epsilon=epsilon, activation=activation), others[3:]
    return [of_x, *of_scale, *(of_x for _ in third)]


def _plain_rule(plain: Rule) -> Rule:
    """`plain` on the CPU: with the sums that are fast there, where a program sees whole arrays of known sizes.

    With ReLU, both ways, 10.7 instead of 18.8 ms for 8x56x56x256, 4.3 instead of 7.9 for 64x32x32x64.
    """
    as_it_is = mlir.lower_fun(plain, multiple_results=True)
    faster = mlir.lower_fun(partial(plain, sums=sum_by_product), multiple_results=True)

    def rule(context: Any, *operands: Any, **parameters: Any) -> Any:
        known = all(isinstance(n, int | np.integer) and n > 0 for n in context.avals_in[0].shape)
        chosen = faster if known and lowering.applies(context, native=False) else as_it_is
        return chosen(context, *operands, **parameters)

    return rule


STATIC = ("epsilon", "activation")
batch_norm_p = primitive("batch_norm", _plain, _shapes, STATIC)
gradient_p = primitive("batch_norm_gradient", _plain_gradient, _shapes_of_gradient, STATIC)
mlir.register_lowering(batch_norm_p, _plain_rule(_plain), platform="cpu")
mlir.register_lowering(gradient_p, _plain_rule(_plain_gradient), platform="cpu")


def _kernel_may(context: Any) -> bool:
    """Whether the kernel may do an equation: it wants statistics in float32."""
    of_channels = context.avals_in[-1 if len(context.avals_in) == 3 else 2]
    return kernel_may(context) and of_channels.dtype.name == "float32"


def _call(target: str, original: Rule) -> Rule:
    """The lowering rule that calls a kernel where it may do an equation, and `original` elsewhere."""

    def rule(context: Any, *operands: Any, epsilon: float, activation: Activation) -> Any:
        if not _kernel_may(context):
            return original(context, *operands, epsilon=epsilon, activation=activation)
        # A gradient takes the place of what it is the last to read, if it is: dx that of dy; with a residual, its
        # gradient that of dy, and dx that of x.
        aliases = {} if len(context.avals_out) == 3 and len(operands) < 6 else {1: 0}
        if len(context.avals_out) == 4:
            aliases = {1: 3, 0: 0}
        emit = jax.ffi.ffi_lowering(target, operand_output_aliases=aliases)
        number = list(ACTIVATIONS).index(activation)
        return emit(context, *operands, epsilon=np.float32(epsilon), activation=np.int32(number))

    return rule


def install(library: ctypes.CDLL) -> None:
    """Registers the library's kernels with XLA and lowers both primitives to them. Call it after lowering.install."""
    lowered(batch_norm_p, _plain_rule(_plain), library.cnnlab_batch_norm, _call)
    lowered(gradient_p, _plain_rule(_plain_gradient), library.cnnlab_batch_norm_gradient, _call)
