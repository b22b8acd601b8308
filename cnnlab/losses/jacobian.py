"""How much a code moves with its input: the contractive penalty, exact, by automatic differentiation."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

AT_ONCE = 16  # units of the code whose gradients are computed together


def squared_jacobian(
    encode: Callable[[Array], Array], x: Float[Array, " batch *space channel"]
) -> Float[Array, " batch"]:
    """||dh / dx||^2 of each example, the squared Frobenius norm of h = encode(x) (Rifai et al. 2011, equation 4).

    One pass back for every unit of the code, for all examples at once: `encode` must not mix them, so batch
    normalisation goes by its running statistics. For the gradient of this each pass is computed again, so that memory
    does not grow with the code.
    """
    code, pull = jax.vjp(encode, x)
    units = code.size // len(code)

    @jax.checkpoint
    def row(unit: Array) -> Float[Array, " batch"]:
        chosen = jax.nn.one_hot(unit, units, dtype=code.dtype).reshape(1, *code.shape[1:])
        (slopes,) = pull(jnp.broadcast_to(chosen, code.shape))
        return jnp.square(slopes).reshape(len(x), -1).sum(-1)

    rows = jax.lax.map(row, jnp.arange(units), batch_size=min(AT_ONCE, units))
    return rows.sum(0)
