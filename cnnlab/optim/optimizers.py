"""The optimizers: spec -> optax."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Bool
from optax.contrib import MuonDimensionNumbers, muon

from cnnlab.models.patterns import matches
from cnnlab.optim.lookahead import lookahead
from cnnlab.optim.schedules import Rate
from cnnlab.spec import optimizers as specs
from cnnlab.spec.optimizers import OptimizerSpec

DECOUPLED = (specs.AdamW, specs.Lion, specs.LAMB, specs.LARS, specs.Adafactor, specs.Muon)


def weights(params: Any) -> Any:
    """True for what weight decay touches: kernels; not biases, scales and other vectors."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def optimizer(spec: OptimizerSpec, rate: Rate) -> optax.GradientTransformation:
    """Gradient -> update, in this order: clip the entries, clip by the global norm, decay, the optimizer's own rule,
    the rate, times the factor of the last of `layer_rates` that matches; Lookahead around all.

    Weight decay is added to the gradient (an L2 penalty, as torch does it) but for the optimizers that have a place
    of their own for it: adamw, lion, lamb, adafactor and muon shrink the weights apart from the gradient, by the
    decay times the rate (Loshchilov and Hutter 2019, algorithm 2), lars and lamb before they scale.
    """

    def scaled(path: Any, update: Any) -> Any:
        name = ".".join(str(part.key) for part in path)
        factors = [factor for pattern, factor in spec.layer_rates.items() if matches(name, pattern)]
        return update * factors[-1] if factors else update

    parts = []
    if spec.clip_value is not None:
        parts.append(optax.clip(spec.clip_value))
    if spec.clip_norm is not None:
        parts.append(optax.clip_by_global_norm(spec.clip_norm))
    if spec.weight_decay and not isinstance(spec, DECOUPLED):
        parts.append(optax.add_decayed_weights(spec.weight_decay, mask=weights))
    parts.append(_rule(spec, rate))
    if spec.layer_rates:
        parts.append(optax.stateless(lambda updates, _: jax.tree_util.tree_map_with_path(scaled, updates)))
    whole = optax.chain(*parts)
    return whole if spec.lookahead is None else lookahead(whole, spec.lookahead)


def _rule(spec: OptimizerSpec, rate: Rate) -> optax.GradientTransformation:
    """The optimizer alone.

    Momentum's average form is (1 - momentum) times the heavy ball's for the same gradients, so that is how it is
    computed. AdaGrad has its epsilon under the root, RMSProp beside it; LARS and RMSProp remember updates with their
    rates, the others gradients. Adafactor is without momentum (Shazeer and Stern 2018, algorithm 4).
    """
    match spec:
        case specs.SGD():
            return optax.sgd(rate)
        case specs.Momentum():
            factor = 1 - spec.momentum if spec.form == "average" else 1.0
            return optax.sgd(lambda count: factor * rate(count), momentum=spec.momentum, nesterov=spec.nesterov)
        case specs.AdaGrad():
            return optax.adagrad(rate, initial_accumulator_value=spec.initial, eps=spec.epsilon)
        case specs.RMSProp():
            settings: dict[str, Any] = {"centered": spec.centered, "momentum": spec.momentum or None}
            return optax.rmsprop(rate, decay=spec.decay, eps=spec.epsilon, eps_in_sqrt=False, **settings)
        case specs.Adam():
            return optax.adam(rate, b1=spec.beta1, b2=spec.beta2, eps=spec.epsilon)
        case specs.RAdam():
            return optax.radam(rate, b1=spec.beta1, b2=spec.beta2, eps=spec.epsilon)
        case specs.Lion():
            return optax.lion(rate, b1=spec.beta1, b2=spec.beta2, weight_decay=spec.weight_decay, mask=weights)
        case specs.AdamW() | specs.LAMB():
            of = optax.adamw if isinstance(spec, specs.AdamW) else optax.lamb
            moments: dict[str, Any] = {"b1": spec.beta1, "b2": spec.beta2, "eps": spec.epsilon}
            return of(rate, **moments, weight_decay=spec.weight_decay, mask=weights)
        case specs.LARS():
            return optax.lars(
                rate,
                weight_decay=spec.weight_decay,
                weight_decay_mask=weights,
                trust_coefficient=spec.trust,
                trust_ratio_mask=weights,
                momentum=spec.momentum,
                nesterov=spec.nesterov,
            )
        case specs.Adafactor():
            return _adafactor(spec, rate)
        case specs.Muon():
            return muon(
                rate,
                ns_steps=spec.iterations,
                beta=spec.momentum,
                eps=spec.epsilon,
                weight_decay=spec.weight_decay,
                nesterov=spec.nesterov,
                adam_b1=spec.beta1,
                adam_b2=spec.beta2,
                muon_weight_dimension_numbers=_matrices,
                consistent_rms=spec.rms,
            )
    raise TypeError(f"no such optimizer: {type(spec).__name__}")


def _adafactor(spec: specs.Adafactor, rate: Rate) -> optax.GradientTransformation:
    """Optax's, with the decay times the rate, as everywhere here."""
    scaled = optax.adafactor(
        None,
        min_dim_size_to_factor=spec.factor_from,
        decay_rate=spec.decay_exponent,
        clipping_threshold=spec.clip_rms,
    )
    decay = optax.add_decayed_weights(-spec.weight_decay, mask=weights)
    return optax.chain(scaled, decay, optax.scale_by_schedule(rate))


def _matrices(params: Any) -> Any:
    """How Muon takes each kernel [*window, input, output] for a matrix, and None for what AdamW has."""

    def matrix(leaf: Any) -> MuonDimensionNumbers | None:
        if leaf.ndim < 2:
            return None
        return MuonDimensionNumbers(tuple(range(leaf.ndim - 1)), leaf.ndim - 1)

    return jax.tree.map(matrix, params)


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
