"""From the gradient of a batch to the weights behind it: the optimizer, what gathers before it, what follows it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.typing import ArrayLike

from cnnlab.optim import accumulation, averaging
from cnnlab.optim.lookahead import slow_weights
from cnnlab.optim.optimizers import begun_anew, optimizer
from cnnlab.optim.schedules import Rate, schedule
from cnnlab.spec.schedules import Plateau
from cnnlab.spec.schema import Experiment
from cnnlab.train.plateau import PlateauState, reduced, unreduced
from cnnlab.train.state import State


class Update:
    """What a spec says of updates, for epochs of so many batches. `rate` of the update replaces the spec's own.

    The schedule, the averages and Lookahead count updates, one after each `accumulate` batches and one after an
    epoch's last: n batches of b examples are as one of n b.
    """

    def __init__(self, experiment: Experiment, steps: int, rate: Rate | None = None):
        self.spec, self.average, self.steps = experiment.optimizer, experiment.train.average, steps
        updates = accumulation.updates_per_epoch(steps, self.spec.accumulate)
        own = self.spec.learning_rate
        self.plateau = own if isinstance(own, Plateau) and rate is None else None
        self._rate = rate or schedule(own, steps_per_epoch=updates, epochs=experiment.train.epochs)

    def rate(self, step: ArrayLike) -> Array:
        """The learning rate of the update to which a batch belongs, counted from 0; a plateau's factor is apart."""
        return self._rate(accumulation.update_of(step, self.steps, self.spec.accumulate))  # type: ignore[return-value]

    def begun(self, params: Any, stats: Any) -> dict[str, Any]:
        """The fields of the state before the first batch that are an update's."""
        return {
            "optimizer": self._transform(None).init(params),
            "gathered": accumulation.nothing(params) if self.spec.accumulate > 1 else None,
            "average": averaging.begun(params, stats) if self.average is not None else None,
            "plateau": unreduced() if self.plateau is not None else None,
        }

    def after(
        self, state: State, gradient: Any, stats: Any, examples: Array, frozen: Any, first_step: int | None
    ) -> dict[str, Any]:
        """The fields of the state after a batch: its mean gradient, the new statistics, how many examples it has.

        What is `frozen` stays. Before the batch `first_step` the optimizer begins anew.
        """
        transform, before = self._transform(state.plateau), state.optimizer
        if first_step is not None:
            before = begun_anew(transform, before, state.params, state.step == first_step)

        def moved(gradient: Any) -> tuple[Any, Any]:
            updates, after = transform.update(gradient, before, state.params)
            # Weight decay, and the moments of an optimizer, would move what has no gradient.
            updates = jax.tree.map(lambda update, still: jnp.zeros_like(update) if still else update, updates, frozen)
            return optax.apply_updates(state.params, updates), after

        gathered = state.gathered
        if gathered is None:
            due = jnp.array(True)
            params, after = moved(gradient)
        else:
            due = accumulation.is_due(state.step, self.steps, self.spec.accumulate)
            whole = accumulation.added(gathered, gradient, examples)
            params, after = jax.lax.cond(due, lambda: moved(accumulation.mean(whole)), lambda: (state.params, before))
            gathered = jax.tree.map(lambda total: jnp.where(due, jnp.zeros_like(total), total), whole)
        average = state.average
        if self.average is not None:
            counts = due & (state.step >= self.average.from_epoch * self.steps)
            average = averaging.followed(self.average, average, params, stats, counts)
        return {"params": params, "stats": stats, "optimizer": after, "gathered": gathered, "average": average}

    def after_epoch(self, state: State, row: dict[str, float]) -> PlateauState | None:
        """What a plateau makes of an epoch's row of the history, on the host."""
        if self.plateau is None or state.plateau is None:
            return None
        return reduced(self.plateau, state.plateau, row)

    @property
    def judged(self) -> Callable[[State], tuple[Any, Any]] | None:
        """How the weights and statistics by which a network is judged come from a state; None where they are its own:
        the average's, or Lookahead's slow weights."""
        if (average := self.average) is not None:
            return lambda state: averaging.means(average, state.average, state.params, state.stats)
        if self.spec.lookahead is not None:
            return lambda state: (slow_weights(state.optimizer, state.params), state.stats)
        return None

    def _transform(self, plateau: PlateauState | None) -> optax.GradientTransformation:
        if plateau is None:
            return optimizer(self.spec, self._rate)
        return optimizer(self.spec, lambda count: self._rate(count) * plateau.factor)


def learning_rate(rate: Callable[[Any], Any], state: State, step: int) -> float:
    """The learning rate of a batch, counted from 0, with a plateau's factor."""
    factor = 1.0 if state.plateau is None else float(state.plateau.factor)
    return float(rate(np.int32(step))) * factor
