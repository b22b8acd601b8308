"""The learning rate of every step."""

import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from cnnlab.spec.schedules import Constant, Cosine, Schedule, Step

Rate = optax.Schedule  # step -> rate


def schedule(spec: float | Schedule, *, steps_per_epoch: int, epochs: int) -> Rate:
    """The rate as a function of the step, which counts from 0 and may be traced.

    Warm-up (Goyal et al. 2017, section 2.2) rises linearly and reaches the peak with its last step. The
    cosine starts after it and reaches `end` with the last step of training.
    """
    if not isinstance(spec, Schedule):
        return lambda step: jnp.full((), spec, jnp.float32)
    warmup = round(spec.warmup_epochs * steps_per_epoch)
    rest = max(epochs * steps_per_epoch - warmup, 1)

    def rate(step: ArrayLike) -> Array:
        step = jnp.asarray(step)
        after = jnp.maximum(step - warmup, 0)
        peak = jnp.float32(spec.peak)
        rising = peak * (step + 1) / max(warmup, 1)
        return jnp.where(step < warmup, rising, peak * _decay(spec, after, rest, warmup, steps_per_epoch))

    return rate


def _decay(spec: Schedule, after: Array, rest: int, warmup: int, steps_per_epoch: int) -> Array:
    """The share of the peak, `after` steps behind the warm-up."""
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
        case Constant():
            return jnp.ones(())
    raise TypeError(f"no such schedule: {type(spec).__name__}")
