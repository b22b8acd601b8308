"""The learning rate of every update."""

import itertools

import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from cnnlab.spec.schedules import (
    Constant,
    Cosine,
    Exponential,
    Inverse,
    OneCycle,
    Plateau,
    Polynomial,
    Schedule,
    Step,
    WarmedUp,
    WarmRestarts,
)

Rate = optax.Schedule  # update -> rate


def schedule(spec: float | Schedule, *, steps_per_epoch: int, epochs: int) -> Rate:
    """The rate as a function of the update, which counts from 0 and may be traced; an epoch has `steps_per_epoch`.

    Warm-up (Goyal et al. 2017, section 2.2) rises linearly and reaches the peak with its last step; the rest follows
    it. What falls to an `end` reaches it with the last step of training. `Plateau` is here without its factor, which
    follows from what is measured.
    """
    if not isinstance(spec, Schedule):
        return lambda step: jnp.full((), spec, jnp.float32)
    warmup = round(spec.warmup_epochs * steps_per_epoch) if isinstance(spec, WarmedUp) else 0
    rest = max(epochs * steps_per_epoch - warmup, 1)

    def rate(step: ArrayLike) -> Array:
        step = jnp.asarray(step)
        after = jnp.maximum(step - warmup, 0)
        peak = jnp.float32(spec.peak)
        rising = peak * (step + 1) / max(warmup, 1)
        share = jnp.asarray(_decay(spec, after, rest, warmup, steps_per_epoch), jnp.float32)
        return jnp.where(step < warmup, rising, peak * share)

    return rate


def _decay(spec: Schedule, after: Array, rest: int, warmup: int, steps_per_epoch: int) -> ArrayLike:
    """The share of the peak, `after` steps behind the warm-up, of `rest` that there are."""
    match spec:
        case Cosine():
            end = spec.end / spec.peak
            return end + (1 - end) * 0.5 * (1 + jnp.cos(jnp.pi * jnp.minimum((after + 1) / rest, 1)))
        case Step():
            epoch = (after + warmup) // steps_per_epoch
            if spec.every_epochs is not None:
                return jnp.float32(spec.factor) ** (epoch // spec.every_epochs)
            passed = sum((epoch >= at).astype(jnp.float32) for at in spec.at_epochs or ())
            return jnp.float32(spec.factor) ** passed
        case Exponential():
            return optax.exponential_decay(1.0, steps_per_epoch, spec.factor)(after)
        case Polynomial():
            return optax.polynomial_schedule(1.0, spec.end / spec.peak, spec.power, rest)(after + 1)
        case Inverse():
            return 1 / (1 + spec.mu * after / steps_per_epoch)
        case WarmRestarts():
            return _restarts(spec, rest, steps_per_epoch)(after)
        case OneCycle():
            return _one_cycle(spec, rest)(after + 1)
        case Constant() | Plateau():
            return 1.0
    raise TypeError(f"no such schedule: {type(spec).__name__}")


def _restarts(spec: WarmRestarts, rest: int, steps_per_epoch: int) -> Rate:
    """Cycles of whole steps until `rest` is full; each starts at the peak, and would be at `end` with the next."""
    lengths, length = [], spec.first_epochs * steps_per_epoch
    while sum(lengths) < rest:
        lengths.append(max(round(length), 1))
        length *= spec.growth
    cycles = [optax.cosine_decay_schedule(1.0, steps, spec.end / spec.peak) for steps in lengths]
    return optax.join_schedules(cycles, list(itertools.accumulate(lengths[:-1])))


def _one_cycle(spec: OneCycle, rest: int) -> Rate:
    """The peak comes at `rise` of the steps, but not before the first."""
    if rest == 1:
        return optax.constant_schedule(1.0)
    rise = max(spec.rise, 1 / rest)
    return optax.cosine_onecycle_schedule(rest, 1.0, rise, 1 / spec.start_share, spec.start_share / spec.end_share)
