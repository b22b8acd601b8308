"""How far one distribution is from another: a student's from its teacher's, mean activations from a wanted one."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float


def kullback_leibler(
    logits: Float[Array, "batch *positions classes"],
    teacher: Float[Array, "batch *positions classes"],
    *,
    temperature: float = 1.0,
    counted: Bool[Array, " batch *positions"] | None = None,
) -> Float[Array, " batch"]:
    """T^2 KL(softmax(teacher / T) || softmax(logits / T)), one value per example, the mean over its positions.

    Only positions that are `counted` have a part in the mean; where an example has none, its value is 0.
    T^2 keeps the gradient's size whatever the temperature (Hinton, Vinyals and Dean 2015, section 2). No gradient
    flows into the teacher.
    """
    log_p = jax.nn.log_softmax(jax.lax.stop_gradient(teacher) / temperature)
    log_q = jax.nn.log_softmax(logits / temperature)
    terms = jnp.exp(log_p) * (log_p - log_q)
    each = terms.sum(-1).reshape(len(terms), -1)
    if counted is None:
        return temperature**2 * each.mean(-1)
    here = counted.reshape(each.shape)
    return temperature**2 * jnp.where(here, each, 0).sum(-1) / jnp.maximum(here.sum(-1), 1)


def sparse_penalty(
    activations: Float[Array, "batch *positions units"], *, rho: float, mask: Bool[Array, " batch"] | None = None
) -> Float[Array, ""]:
    """sum over units of KL(rho || rho_hat), rho_hat the unit's mean over batch and positions (Ng 2011, section 3).

    For activations between 0 and 1; of those whose mean leaves the open interval the nearest float32 inside counts.
    What `mask` leaves out, the padding of a batch, does not count.
    """
    units = activations.shape[-1]
    counted = jnp.ones(len(activations), bool) if mask is None else mask
    each = activations.reshape(len(activations), -1, units).mean(1)
    mean = jnp.where(counted[:, None], each, 0).sum(0) / jnp.maximum(counted.sum(), 1)
    mean = jnp.clip(mean, jnp.finfo(mean.dtype).tiny, 1 - jnp.finfo(mean.dtype).epsneg)
    terms = rho * (jnp.log(rho) - jnp.log(mean)) + (1 - rho) * (jnp.log1p(-rho) - jnp.log1p(-mean))
    return terms.sum()
