"""Mixup and cutmix: each example with another one of its batch, and the share that its own target keeps."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, random

from cnnlab.data.augment.cutout import window
from cnnlab.data.augment.sample import along, integers, split, uniform
from cnnlab.spec.augment import Augmentation, Cutmix, Mixup

WORDS = ("mixup", "cutmix")


class Mixture(NamedTuple):
    """x: [batch, *spatial, channel]; partner: int32 [batch], whom of the batch each is mixed with; weight: [batch].

    The loss is weight * loss(own target) + (1 - weight) * loss(the partner's target).
    """

    x: Array
    partner: Array
    weight: Array


def mix(x: Array, keys: Array, entries: Sequence[Augmentation]) -> Mixture:
    """By the entries' mixup or cutmix; of several, each example draws one. Without any, each is its own partner.

    Who belongs together follows from the keys, not from the batch's order.
    """
    chosen = [given for entry in entries for given in (entry.mixup, entry.cutmix) if given is not None]
    if not chosen:
        return Mixture(x, jnp.arange(len(x), dtype=jnp.int32), jnp.ones(len(x)))
    own = split(keys, len(entries) + 1 + len(chosen))[len(entries) :]  # those before are the other entries' own
    drawn = uniform(own[0], 2)
    turn = jnp.argsort(drawn[:, 0]).astype(jnp.int32)
    partner = jnp.zeros_like(turn).at[turn].set(jnp.roll(turn, -1))
    shares = [_shares(key, given, x.shape[1:-1]) for key, given in zip(own[1:], chosen, strict=True)]
    number = integers(drawn[:, 1], len(chosen))
    share = jnp.select([along(number == i, shares[i]) for i in range(len(shares))], shares)
    kept = share[..., None]
    return Mixture(kept * x + (1 - kept) * x[partner], partner, share.mean(range(1, share.ndim)))


def _shares(keys: Array, entry: Mixup | Cutmix, spatial: tuple[int, ...]) -> Array:
    """What each place keeps of its own example, [batch, *spatial]: an amount drawn from Beta(alpha, alpha) everywhere
    (Zhang et al. 2018), or 0 in a window of that lacking area and 1 around it (Yun et al. 2019)."""
    keys, others = split(keys, 2)
    drawn = uniform(others, 1 + len(spatial))
    amount = jax.vmap(lambda key: random.beta(key, entry.alpha, entry.alpha))(keys)
    amount = jnp.where(drawn[:, 0] < entry.probability, amount, 1)
    if isinstance(entry, Mixup):
        return jnp.broadcast_to(amount.reshape(-1, *[1] * len(spatial)), (len(keys), *spatial))
    side = (1 - amount)[:, None] ** (1 / len(spatial))
    sizes = (side * jnp.array(spatial)).astype(jnp.int32)
    return 1 - window(drawn[:, 1:], spatial, sizes).astype(jnp.float32)
