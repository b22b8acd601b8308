"""The optimizers: spec -> optax."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Bool

from cnnlab.models.patterns import matches
from cnnlab.optim.schedules import Rate
from cnnlab.spec.optimizers import SGD, Adam, AdamW, Momentum, OptimizerSpec


def weights(params: Any) -> Any:
    """True for what weight decay touches: kernels; not biases, scales and other vectors."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def optimizer(spec: OptimizerSpec, rate: Rate) -> optax.GradientTransformation:
    """Gradient -> update, in this order: clip by the global norm, decay, the optimizer's own rule, the rate,
    times the factor of the last of `layer_rates` that matches.

    Weight decay is added to the gradient (an L2 penalty, as torch does it) for sgd, momentum and adam, and
    apart from it for adamw (Loshchilov and Hutter 2019, algorithm 2, with the decay times the rate).
    """

    def scaled(path: Any, update: Any) -> Any:
        name = ".".join(str(part.key) for part in path)
        factors = [factor for pattern, factor in spec.layer_rates.items() if matches(name, pattern)]
        return update * factors[-1] if factors else update

    parts = []
    if spec.clip_norm is not None:
        parts.append(optax.clip_by_global_norm(spec.clip_norm))
    if spec.weight_decay and not isinstance(spec, AdamW):
        parts.append(optax.add_decayed_weights(spec.weight_decay, mask=weights))
    match spec:
        case SGD():
            parts.append(optax.sgd(rate))
        case Momentum():
            parts.append(optax.sgd(rate, momentum=spec.momentum, nesterov=spec.nesterov))
        case Adam():
            parts.append(optax.adam(rate, b1=spec.beta1, b2=spec.beta2, eps=spec.epsilon))
        case AdamW():
            parts.append(
                optax.adamw(
                    rate,
                    b1=spec.beta1,
                    b2=spec.beta2,
                    eps=spec.epsilon,
                    weight_decay=spec.weight_decay,
                    mask=weights,
                )
            )
        case _:
            raise TypeError(f"no such optimizer: {type(spec).__name__}")
    if spec.layer_rates:
        parts.append(optax.stateless(lambda updates, _: jax.tree_util.tree_map_with_path(scaled, updates)))
    return optax.chain(*parts)


def begun_anew(
    transform: optax.GradientTransformation, state: optax.OptState, params: Any, when: Bool[Array, ""]
) -> optax.OptState:
    """The state, `when` true without what it remembers of gradients; the schedule's count of steps goes on."""

    def is_count(part: Any) -> bool:
        return isinstance(part, optax.ScaleByScheduleState)

    fresh = transform.init(params)

    def chosen(now: Any, new: Any) -> Any:
        return now if is_count(now) else jnp.where(when, new, now)

    return jax.tree.map(chosen, state, fresh, is_leaf=is_count)
