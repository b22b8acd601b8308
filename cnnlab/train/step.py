"""The compiled functions of a run: one step of training, one batch of evaluation."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array

from cnnlab import kernels
from cnnlab.data.augment import augment, scale
from cnnlab.data.batches import steps_per_epoch
from cnnlab.data.prepare import Prepared
from cnnlab.layers import recompute
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.models import build
from cnnlab.optim.optimizers import begun_anew, optimizer
from cnnlab.optim.schedules import Rate, schedule
from cnnlab.spec.schema import Experiment
from cnnlab.tasks import classification
from cnnlab.tasks.classification import Outcome
from cnnlab.train.freeze import frozen_mask, hold_statistics
from cnnlab.train.precision import forward
from cnnlab.train.state import State, initial, split

Values = Array | np.ndarray

# A loss this many times that of guessing means weights that no schedule brings back.
UNREASONABLE = 1000.0


@dataclass(frozen=True)
class Program:
    """A spec, compiled: what the loop calls. Each function is traced and compiled once.

    With `model.unfreeze_at_epoch` there is a second step, for the epochs from there on, and the optimizer begins
    anew with it: of what was frozen it remembers gradients of 0, and Adam would take several times the rate.
    """

    train_step: Callable[[State, Values, Values, Values], State]
    unfrozen_step: Callable[[State, Values, Values, Values], State] | None
    unfreeze_at_epoch: int | None
    evaluate: Callable[[Any, Any, Values, Values], Outcome]
    host_state: State
    steps_per_epoch: int
    rate: Rate

    @property
    def initial_state(self) -> State:
        """The state before the first step: fresh arrays on the device each time, since a step takes its state over."""
        return jax.tree.map(jnp.array, self.host_state)

    def step_of(self, epoch: int) -> Callable[[State, Values, Values, Values], State]:
        """The step of an epoch, counted from 0."""
        if self.unfrozen_step is None or self.unfreeze_at_epoch is None or epoch < self.unfreeze_at_epoch:
            return self.train_step
        return self.unfrozen_step


@dataclass(frozen=True)
class Sizes:
    """What a program has to know of the data: shapes, the number of classes and examples, the normalisation."""

    input_shape: tuple[int, ...]
    classes: int
    examples: int
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, prepared: Prepared) -> "Sizes":
        counts = prepared.counts["train"]
        return cls(prepared.input_shape, len(prepared.classes), counts, prepared.mean, prepared.std)

    @classmethod
    def of_description(cls, data: dict[str, Any]) -> "Sizes":
        """From a run's data.json, without the data."""
        mean, std = (np.array(data["normalization"][key], np.float32) for key in ("mean", "std"))
        return cls(tuple(data["input_shape"]), len(data["classes"]), data["counts"]["train"], mean, std)


def compile_program(experiment: Experiment, sizes: Sizes) -> Program:
    """Build the model and its step for the data. Nothing is compiled before the first call."""
    kernels.enable()
    spec = experiment.model
    model = build(spec, sizes.input_shape, sizes.classes, init=Initializer(experiment.seed))
    graph, params, stats = split(model)
    hold_statistics(model, spec.freeze)
    frozen_graph, *_ = split(model)
    steps = steps_per_epoch(sizes.examples, experiment.data.batch_size)
    rate = schedule(experiment.optimizer.learning_rate, steps_per_epoch=steps, epochs=experiment.train.epochs)
    transform = optimizer(experiment.optimizer, rate)
    step = partial(_train_step, frozen_graph, frozen_mask(params, spec.freeze), None, transform, experiment, sizes)
    fast = kernels.compiler_options()
    options = fast | recompute.compiler_options() if experiment.train.remat else fast
    first = None if spec.unfreeze_at_epoch is None else spec.unfreeze_at_epoch * steps
    unfrozen = partial(_train_step, graph, frozen_mask(params, ()), first, transform, experiment, sizes)
    return Program(
        jax.jit(step, donate_argnums=0, compiler_options=options),
        None if spec.unfreeze_at_epoch is None else jax.jit(unfrozen, donate_argnums=0, compiler_options=options),
        spec.unfreeze_at_epoch,
        jax.jit(partial(_evaluate, graph, experiment, sizes), compiler_options=fast),
        initial(params, stats, transform),
        steps,
        jax.jit(rate),
    )


def _train_step(
    graph: nnx.GraphDef,
    frozen: Any,
    first_step: int | None,
    transform: optax.GradientTransformation,
    experiment: Experiment,
    sizes: Sizes,
    state: State,
    x: Array,
    y: Array,
    mask: Array,
) -> State:
    """One update from one batch: x [batch, *space, channel], y and mask [batch].

    Before the step `first_step` the optimizer begins anew.
    All randomness follows from (seed, step), so that a resumed run draws what an uninterrupted one would.
    """
    key = jax.random.fold_in(jax.random.key(np.uint32(experiment.seed)), state.step)
    augment_key, model_key = jax.random.split(key)
    x = (augment(scale(x), augment_key, experiment.data.augment, sizes.std) - sizes.mean) / sizes.std

    def mean_loss(params: Any) -> tuple[Array, tuple[Array, Array, Any]]:
        params = jax.tree.map(lambda leaf, still: jax.lax.stop_gradient(leaf) if still else leaf, params, frozen)
        model = nnx.merge(graph, params, state.stats)
        mode = Mode(train=True, key=model_key, recompute=experiment.train.remat)
        output = forward(model, x, experiment.precision, mode)
        logits, losses, objective = classification.objective(experiment.loss, output, y)
        stats = nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
        return jnp.where(mask, objective, 0).sum() / mask.sum(), (logits, losses, stats)

    (loss, (logits, losses, stats)), gradient = jax.value_and_grad(mean_loss, has_aux=True)(state.params)
    before = state.optimizer
    if first_step is not None:
        before = begun_anew(transform, before, state.params, state.step == first_step)
    updates, optimizer_state = transform.update(gradient, before, state.params)
    # Weight decay, and the moments of an optimizer, would move what has no gradient.
    updates = jax.tree.map(lambda update, still: jnp.zeros_like(update) if still else update, updates, frozen)
    params = optax.apply_updates(state.params, updates)
    limit = UNREASONABLE * math.log(sizes.classes)
    fine = (loss <= limit) & jnp.isfinite(optax.tree.norm(gradient))  # a NaN is not <= anything
    first = ~fine & (state.diverged_at < 0)
    return State(
        params,
        stats,
        optimizer_state,
        classification.add(state.sums, logits, y, losses, mask),
        state.step + 1,
        jnp.where(first, state.step + 1, state.diverged_at),
        jnp.where(first, loss, state.diverged_loss),
    )


def _evaluate(
    graph: nnx.GraphDef, experiment: Experiment, sizes: Sizes, params: Any, stats: Any, x: Array, y: Array
) -> Outcome:
    """What the model says of one batch, padding included."""
    model = nnx.merge(graph, params, stats)
    logits = forward(model, (scale(x) - sizes.mean) / sizes.std, experiment.precision)
    return classification.outcome(experiment.loss, logits, y)
