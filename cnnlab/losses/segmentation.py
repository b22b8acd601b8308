"""Losses of a class per pixel: pure functions, one value per example; the caller reduces.

Logits are [batch, *spatial, class] over one to three spatial axes, the mask [batch, *spatial] holds classes, and
`UNKNOWN` where nothing is said: there is neither loss nor gradient. An example that says nothing at all costs 0.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int, UInt8

from cnnlab.losses import classification
from cnnlab.spec.data import UNKNOWN


def cross_entropy(
    logits: Float[Array, "batch *spatial classes"],
    mask: UInt8[Array, " batch *spatial"],
    *,
    label_smoothing: float = 0.0,
    class_weights: Float[Array, " classes"] | None = None,
) -> Float[Array, " batch"]:
    """-log softmax(logits)_class, times the class's factor: the mean over the pixels that say something."""
    counted, classes = _read(mask)
    losses = classification.cross_entropy(
        _flat(logits), classes.reshape(-1), label_smoothing=label_smoothing, class_weights=class_weights
    )
    return _mean(losses.reshape(mask.shape), counted)


def focal(
    logits: Float[Array, "batch *spatial classes"],
    mask: UInt8[Array, " batch *spatial"],
    *,
    gamma: float = 2.0,
    class_weights: Float[Array, " classes"] | None = None,
) -> Float[Array, " batch"]:
    """The focal loss (Lin et al. 2017): the mean over the pixels that say something."""
    counted, classes = _read(mask)
    losses = classification.focal(_flat(logits), classes.reshape(-1), gamma=gamma, class_weights=class_weights)
    return _mean(losses.reshape(mask.shape), counted)


def dice(
    logits: Float[Array, "batch *spatial classes"],
    mask: UInt8[Array, " batch *spatial"],
    *,
    smoothing: float = 1.0,
) -> Float[Array, " batch"]:
    """1 - the mean over classes of (2 sum p g + s) / (sum p^2 + sum g^2 + s), sums over an example's pixels.

    p is the softmax, g one where the mask has the class (Milletari et al. 2016, section 3, for each class). Where
    a class is neither there nor predicted, its quotient is s / s; s must be above 0.
    """
    counted, classes = _read(mask)
    there = counted[..., None]
    p = jnp.where(there, jax.nn.softmax(logits), 0)
    g = jnp.where(there, jax.nn.one_hot(classes, logits.shape[-1], dtype=p.dtype), 0)
    space = tuple(range(1, mask.ndim))
    overlap, sizes = (p * g).sum(space), (p**2 + g).sum(space)
    return 1 - ((2 * overlap + smoothing) / (sizes + smoothing)).mean(-1)


def _read(
    mask: UInt8[Array, " batch *spatial"],
) -> tuple[Bool[Array, " batch *spatial"], Int[Array, " batch *spatial"]]:
    """Where the mask says something, and what; 0 elsewhere, for `UNKNOWN` is no class to look up."""
    counted = mask != UNKNOWN
    return counted, jnp.where(counted, mask, 0).astype(jnp.int32)


def _flat(logits: Float[Array, "batch *spatial classes"]) -> Float[Array, "pixels classes"]:
    return logits.reshape(-1, logits.shape[-1])


def _mean(losses: Float[Array, " batch *spatial"], counted: Bool[Array, " batch *spatial"]) -> Float[Array, " batch"]:
    space = tuple(range(1, losses.ndim))
    return jnp.where(counted, losses, 0).sum(space) / jnp.maximum(counted.sum(space), 1)
