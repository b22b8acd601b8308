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

from cnnlab.data.augment import augment, scale
from cnnlab.data.batches import steps_per_epoch
from cnnlab.data.prepare import Prepared
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.models import build
from cnnlab.optim.optimizers import optimizer
from cnnlab.optim.schedules import Rate, schedule
from cnnlab.spec.schema import Experiment
from cnnlab.tasks import classification
from cnnlab.tasks.classification import Outcome
from cnnlab.train.state import State, initial, split

Values = Array | np.ndarray

# A loss this many times that of guessing means weights that no schedule brings back.
UNREASONABLE = 1000.0


@dataclass(frozen=True)
class Program:
    """A spec, compiled: what the loop calls. Both functions are traced and compiled once."""

    train_step: Callable[[State, Values, Values, Values], State]
    evaluate: Callable[[Any, Any, Values, Values], Outcome]
    host_state: State
    steps_per_epoch: int
    rate: Rate

    @property
    def initial_state(self) -> State:
        """The state before the first step: fresh arrays on the device each time, since a step takes its state over."""
        return jax.tree.map(jnp.array, self.host_state)


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
    model = build(experiment.model, sizes.input_shape, sizes.classes, init=Initializer(experiment.seed))
    graph, params, stats = split(model)
    steps = steps_per_epoch(sizes.examples, experiment.data.batch_size)
    rate = schedule(experiment.optimizer.learning_rate, steps_per_epoch=steps, epochs=experiment.train.epochs)
    transform = optimizer(experiment.optimizer, rate)
    step = partial(_train_step, graph, transform, experiment, sizes)
    evaluate = partial(_evaluate, graph, experiment, sizes)
    return Program(
        jax.jit(step, donate_argnums=0), jax.jit(evaluate), initial(params, stats, transform), steps, jax.jit(rate)
    )


def _train_step(
    graph: nnx.GraphDef,
    transform: optax.GradientTransformation,
    experiment: Experiment,
    sizes: Sizes,
    state: State,
    x: Array,
    y: Array,
    mask: Array,
) -> State:
    """One update from one batch: x [batch, *space, channel], y and mask [batch].

    All randomness follows from (seed, step), so that a resumed run draws what an uninterrupted one would.
    """
    key = jax.random.fold_in(jax.random.key(np.uint32(experiment.seed)), state.step)
    augment_key, model_key = jax.random.split(key)
    x = (augment(scale(x), augment_key, experiment.data.augment, sizes.std) - sizes.mean) / sizes.std

    def mean_loss(params: Any) -> tuple[Array, tuple[Array, Array, Any]]:
        model = nnx.merge(graph, params, state.stats)
        logits = model(x, Mode(train=True, key=model_key))
        losses = classification.per_example_loss(experiment.loss, logits, y)
        stats = nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
        return jnp.where(mask, losses, 0).sum() / mask.sum(), (logits, losses, stats)

    (loss, (logits, losses, stats)), gradient = jax.value_and_grad(mean_loss, has_aux=True)(state.params)
    updates, optimizer_state = transform.update(gradient, state.optimizer, state.params)
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
    logits = nnx.merge(graph, params, stats)((scale(x) - sizes.mean) / sizes.std)
    return classification.outcome(experiment.loss, logits, y)
