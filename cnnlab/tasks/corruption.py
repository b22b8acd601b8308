"""What inputs go through before a denoiser sees them: pure functions of one example and a key.

x is float32 [*space, channel], normalised: 0 is the data's mean.
"""

from functools import partial
from math import prod

import jax
import jax.numpy as jnp
from jax import Array, random
from jaxtyping import Bool, Float, Key

from cnnlab.spec.tasks import Corruption

Channels = Float[Array, " channel"]


def corrupted(
    x: Float[Array, " batch *space channel"],
    keys: Key[Array, " batch"],
    spec: Corruption,
    *,
    black: Channels,
    bounds: tuple[Channels, Channels] | None,
) -> tuple[Float[Array, " batch *space channel"], Bool[Array, " batch *space one"]]:
    """The examples, each corrupted by its own key, and which positions that has hidden; of other kinds than patches
    all of them.

    black: a value of 0 in the data's own units; bounds: the least and the largest value, None where the data are no
    pixels: then each example's own stand for them.
    """
    if spec.patches is not None:
        hidden = jax.vmap(partial(hidden_patches, space=x.shape[1:-1], share=spec.patches, size=spec.size))(keys)
        return jnp.where(hidden, 0, x), hidden
    if spec.gaussian is not None:
        change = partial(gaussian, deviation=spec.gaussian)
    elif spec.masking is not None:
        change = partial(masking, share=spec.masking, black=black)
    else:
        assert spec.salt_and_pepper is not None, "a spec names one kind"
        change = partial(salt_and_pepper, share=spec.salt_and_pepper, bounds=bounds)
    return jax.vmap(change)(x, keys), jnp.ones((*x.shape[:-1], 1), bool)


def gaussian(
    x: Float[Array, " *space channel"], key: Key[Array, ""], *, deviation: float
) -> Float[Array, " *space channel"]:
    """Normal noise added to every value."""
    return x + deviation * random.normal(key, x.shape, x.dtype)


def masking(
    x: Float[Array, " *space channel"], key: Key[Array, ""], *, share: float, black: Channels
) -> Float[Array, " *space channel"]:
    """Each value with the probability `share` becomes black (Vincent, Larochelle, Bengio and Manzagol 2008)."""
    return jnp.where(random.bernoulli(key, share, x.shape), black.astype(x.dtype), x)


def salt_and_pepper(
    x: Float[Array, " *space channel"],
    key: Key[Array, ""],
    *,
    share: float,
    bounds: tuple[Channels, Channels] | None,
) -> Float[Array, " *space channel"]:
    """Each value with the probability `share` becomes the least or the largest one, by a fair coin (Vincent et al.
    2010, section 3.3)."""
    space = tuple(range(x.ndim - 1))
    low, high = (x.min(space), x.max(space)) if bounds is None else bounds
    hit, white = (random.bernoulli(random.fold_in(key, i), p, x.shape) for i, p in enumerate((share, 0.5)))
    return jnp.where(hit, jnp.where(white, high, low).astype(x.dtype), x)


def hidden_patches(
    key: Key[Array, ""], *, space: tuple[int, ...], share: float, size: int
) -> Bool[Array, " *space one"]:
    """Which positions are hidden: of the squares of `size` positions that tile the map so many as come nearest to
    `share`, at least one and not all, every choice equally likely (He et al. 2022, section 3). Those at the far edges
    may be smaller.
    """
    grid = squares_per_axis(space, size)
    squares = prod(grid)
    hidden = min(max(round(share * squares), 1), squares - 1)
    chosen = (random.permutation(key, squares) < hidden).reshape(grid)
    for axis, n in enumerate(space):
        chosen = jnp.repeat(chosen, size, axis)[(slice(None),) * axis + (slice(n),)]
    return chosen[..., None]


def squares_per_axis(space: tuple[int, ...], size: int) -> tuple[int, ...]:
    """How many squares tile a map."""
    return tuple(-(-n // size) for n in space)
