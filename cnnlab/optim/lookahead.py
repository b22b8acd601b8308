"""Lookahead (Zhang, Lucas, Hinton and Ba 2019, algorithm 1) around another optimizer."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from optax import LookaheadParams

from cnnlab.spec.optimizers import Lookahead


class LookaheadState(NamedTuple):
    """Optax's, and the slow weights. Between two cycles, and before the first, these are the weights themselves."""

    inner: Any
    slow: Any


def lookahead(fast: optax.GradientTransformation, spec: Lookahead) -> optax.GradientTransformation:
    """After every `spec.steps` updates of `fast` the slow weights go `spec.rate` of the way to the fast ones, which
    go on from there. The state's slow weights are taken anew as each cycle begins, so that weights which are put into
    a run from outside need no mention here."""
    inner = optax.lookahead(fast, spec.steps, spec.rate)

    def init(params: Any) -> LookaheadState:
        return LookaheadState(inner.init(LookaheadParams(params, params)), params)  # type: ignore[arg-type]

    def update(gradient: Any, state: LookaheadState, params: Any) -> tuple[Any, LookaheadState]:
        weights = LookaheadParams(params, slow_weights(state, params))
        updates: Any
        updates, inner_state = inner.update(gradient, state.inner, weights)  # type: ignore[arg-type]
        return updates.fast, LookaheadState(inner_state, optax.apply_updates(weights.slow, updates.slow))

    return optax.GradientTransformation(init, update)  # type: ignore[arg-type]


def slow_weights(state: LookaheadState, params: Any) -> Any:
    """What the algorithm calls phi, by which a network is judged: the end of the last cycle."""
    between = state.inner.steps_since_sync == 0
    return jax.tree.map(lambda slow, now: jnp.where(between, now, slow), state.slow, params)
