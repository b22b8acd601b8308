"""The compiled functions of a run: steps of training, one batch of evaluation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array
from jax.sharding import Mesh

from cnnlab import kernels
from cnnlab.data.augment import scale
from cnnlab.data.batches import steps_per_epoch
from cnnlab.data.prepare import Prepared
from cnnlab.layers import recompute
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.optim.schedules import Rate
from cnnlab.spec.schema import Experiment
from cnnlab.tasks import made, task_of
from cnnlab.tasks.perceptron import Perceptron
from cnnlab.tasks.task import Losses, Outcome, Sums, Task, total
from cnnlab.train import devices
from cnnlab.train.augmented import augmented
from cnnlab.train.freeze import frozen_mask, hold_statistics
from cnnlab.train.precision import forward, inference, ready
from cnnlab.train.rosenblatt import rosenblatt_step
from cnnlab.train.state import State, initial, split
from cnnlab.train.teacher import FAR, Taught, Teacher, by_both, is_taught, zero_of
from cnnlab.train.update import Update
from cnnlab.weights.fork import network_for

Values = Array | np.ndarray

# A loss this many times that of guessing means weights that no schedule brings back.
UNREASONABLE = 1000.0


Targets = Values | Mapping[str, Array] | Mapping[str, np.ndarray]
"""What is learnt of each example, [example, ...]; for several heads by the targets' kinds."""


class Examples(NamedTuple):
    """All examples of a source on the device: x [example, *space, channel], y [example, ...], the task's target."""

    x: Array
    y: Targets


class Steps(NamedTuple):
    """The step in two forms, which give the same bits; with a teacher, whose work XLA joins with the student's in ways
    of its own in each, the same to rounding.

    one(state, x, y, mask, index): a batch that comes from the host.
    many(state, examples, places, mask, count): `count` steps in one dispatch; batch i of the epoch is
    `examples[places[i]]`, with places and mask [step of the epoch, batch].
    """

    one: Callable[[State, Values, Targets, Values, Values], State]
    many: Callable[[State, Examples, Values, Values, int], State]


@dataclass(frozen=True)
class Program:
    """A spec, compiled: what the loop calls. Each function is traced and compiled once, at its first call.

    `evaluate` takes parameters as they are, or `ready` for many batches, to the same bits.

    With `model.unfreeze_at_epoch` there are second steps, for the epochs from there on, and the optimizer begins
    anew with them: of what was frozen it remembers gradients of 0, and Adam would take several times the rate.
    """

    first: Steps
    unfrozen: Steps | None
    unfreeze_at_epoch: int | None
    evaluate: Callable[[Any, Any, Values, Targets], Outcome]
    ready: Callable[[Any], Any]
    host_state: State
    steps_per_epoch: int
    update: Update
    rate: Rate
    mesh: Mesh | None
    judged: Callable[[State], tuple[Any, Any]] | None
    task: Task

    def seen(self, state: State) -> State:
        """The state with the weights and statistics by which the network is judged: its average's, where it has one."""
        if self.judged is None:
            return state
        params, stats = self.judged(state)
        return state._replace(params=params, stats=stats)

    @property
    def zero(self) -> Sums:
        """What an epoch adds up, before its first batch."""
        return self.host_state.sums

    def means(self, sums: Sums) -> dict[str, float]:
        """The figures of training over the examples seen so far."""
        found = self.task.means(sums)
        if FAR in sums:
            found[FAR] = float(sums[FAR]) / max(int(sums["examples"]), 1)
        return found

    @property
    def initial_state(self) -> State:
        """The state before the first step: fresh arrays on the device each time, since a step takes its state over."""
        return self.placed(self.host_state)

    def placed(self, state: State) -> State:
        """A copy of the state where the steps want it: on every device that shares in them."""
        return devices.replicated(state, self.mesh)

    def steps_of(self, epoch: int) -> Steps:
        """The steps of an epoch, counted from 0."""
        if self.unfrozen is None or self.unfreeze_at_epoch is None or epoch < self.unfreeze_at_epoch:
            return self.first
        return self.unfrozen


@dataclass(frozen=True)
class Sizes:
    """What a program has to know of the data: shapes, what to learn, the number of examples, the normalisation."""

    input_shape: tuple[int, ...]
    task: Task
    examples: int
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, experiment: Experiment, prepared: Prepared) -> "Sizes":
        counts, task = prepared.counts["train"], task_of(experiment, prepared)
        return cls(prepared.input_shape, task, counts, prepared.mean, prepared.std)

    @classmethod
    def of_description(cls, experiment: Experiment, data: dict[str, Any]) -> "Sizes":
        """From a run's data.json, without the data."""
        mean, std = (np.array(data["normalization"][key], np.float32) for key in ("mean", "std"))
        return cls(tuple(data["input_shape"]), made(experiment, data), data["counts"]["train"], mean, std)


def compile_program(
    experiment: Experiment,
    sizes: Sizes,
    rate: Rate | None = None,
    teacher: Teacher | None = None,
    *,
    together: bool = False,
) -> Program:
    """Build the model and its step for the data. Nothing is compiled before the first call.

    `rate` of the update replaces the spec's learning rate. Of a spec with `distill` only what has its `teacher` trains.
    `together`: for the devices of all processes of a job, which then have to call everything together.
    """
    kernels.enable()
    spec = experiment.model
    model = network_for(spec, sizes.input_shape, sizes.task, init=Initializer(experiment.seed))
    graph, params, stats = split(model)
    hold_statistics(model, spec.freeze)
    frozen_graph, *_ = split(model)
    steps = steps_per_epoch(sizes.examples, experiment.data.batch_size)
    update = Update(experiment, steps, rate)
    mesh = devices.mesh_for(experiment.data.batch_size, together=together)
    outputs: dict[str, Any] = {} if mesh is None else {"out_shardings": devices.everywhere(mesh)}
    step = partial(_train_step, frozen_graph, frozen_mask(params, spec.freeze), None)
    first = None if spec.unfreeze_at_epoch is None else spec.unfreeze_at_epoch * steps
    unfrozen = partial(_train_step, graph, frozen_mask(params, ()), first)
    teacher = teacher if is_taught(experiment) else None
    arrays = None if teacher is None else devices.replicated(teacher.arrays, mesh)
    rest = (update, experiment, sizes, mesh, teacher)
    trained = partial(step, *rest)
    if isinstance(sizes.task, Perceptron):
        trained = partial(rosenblatt_step, experiment, sizes)
    return Program(
        _compiled(trained, steps, experiment, mesh, arrays),
        None if first is None else _compiled(partial(unfrozen, *rest), steps, experiment, mesh, arrays),
        spec.unfreeze_at_epoch,
        jax.jit(
            partial(_evaluate, graph, experiment, sizes, mesh), compiler_options=kernels.compiler_options(), **outputs
        ),
        jax.jit(ready) if experiment.precision == "bfloat16" else lambda params: params,
        initial(params, stats, update.begun(params, stats), sizes.task)._replace(sums=zero_of(experiment, sizes.task)),
        steps,
        update,
        jax.jit(update.rate),
        mesh,
        None if update.judged is None else jax.jit(update.judged),
        sizes.task,
    )


def _compiled(
    step: Callable[..., State], steps: int, experiment: Experiment, mesh: Mesh | None, taught_by: Any
) -> Steps:
    """Both forms of a step of an epoch that has so many `steps`; `taught_by` are a teacher's arrays, or None."""

    def many(state: State, examples: Examples, places: Array, mask: Array, count: Array, *taught_by: Any) -> State:
        def next_step(_: Array, state: State) -> State:
            i = state.step % steps
            return step(
                state, *jax.tree.map(lambda values: values[places[i]], examples), mask[i], places[i], *taught_by
            )

        return jax.lax.fori_loop(0, count, next_step, state)

    options = kernels.compiler_options() | (recompute.compiler_options() if experiment.train.remat else {})
    settings: dict[str, Any] = {"donate_argnums": 0, "compiler_options": options}
    if mesh is not None:
        settings["out_shardings"] = devices.everywhere(mesh)
    one, several = jax.jit(step, **settings), jax.jit(many, **settings)
    return Steps(one, several) if taught_by is None else Steps(Taught(one, taught_by), Taught(several, taught_by))


def _train_step(
    graph: nnx.GraphDef,
    frozen: Any,
    first_step: int | None,
    update: Update,
    experiment: Experiment,
    sizes: Sizes,
    mesh: Mesh | None,
    teacher: Teacher | None,
    state: State,
    x: Array,
    y: Any,
    mask: Array,
    index: Array,
    taught_by: Any = None,
) -> State:
    """One update from one batch: x [batch, *space, channel], y [batch, ...], mask [batch], index [batch], the
    examples' places in the dataset; `taught_by` are the teacher's arrays.

    Before the step `first_step` the optimizer begins anew.
    All randomness follows from (seed, step) and, in augmentation, from (seed, epoch, index), so that a resumed run
    draws what an uninterrupted one would.
    """
    key = jax.random.fold_in(jax.random.key(np.uint32(experiment.seed)), state.step)
    _, model_key = jax.random.split(key)
    corruption_key, task = jax.random.fold_in(key, 2), sizes.task
    epoch = state.step // steps_per_epoch(sizes.examples, experiment.data.batch_size)
    batch = augmented(experiment, sizes, epoch, devices.shared(x, mesh), y, index)
    x, y, distill = batch.x, batch.y, experiment.distill
    assert (teacher is not None) == is_taught(experiment), "a step that learns from a teacher has one"
    taught = None if teacher is None else teacher.answers(taught_by, x, sizes.mean, sizes.std)

    def mean_loss(params: Any) -> tuple[Array, tuple[Any, Losses, Array | None, Any]]:
        params = jax.tree.map(lambda leaf, still: jax.lax.stop_gradient(leaf) if still else leaf, params, frozen)
        model = nnx.merge(graph, params, state.stats)
        mode = Mode(train=True, key=model_key, recompute=experiment.train.remat)
        given, wanted = task.given(x, y, corruption_key)
        output = forward(model, given, experiment.precision, mode)
        losses, objective = batch.mixed(lambda y: task.objective(output, wanted, y))
        far = None
        if distill is not None and taught is not None:
            distances = task.distillation(output, taught, y, distill.temperature)
            objective, far = by_both(objective, distances, distill.weight), total(distances)
        stats = nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
        mean = jnp.where(mask, total(objective), 0).sum() / mask.sum()
        return mean + task.penalty(model, x, mask), (output, losses, far, stats)

    (loss, (output, losses, far, stats)), gradient = jax.value_and_grad(mean_loss, has_aux=True)(state.params)
    moved = update.after(state, gradient, stats, mask.sum(), frozen, first_step)
    limit = UNREASONABLE * task.guessing
    fine = (loss <= limit) & jnp.isfinite(optax.tree.norm(gradient))  # a NaN is not <= anything
    first = ~fine & (state.diverged_at < 0)
    of_teacher = {} if far is None else {FAR: state.sums[FAR] + jnp.where(mask, far, 0).sum()}
    return state._replace(
        sums={**task.added(state.sums, output, y, losses, mask), **of_teacher},
        step=state.step + 1,
        diverged_at=jnp.where(first, state.step + 1, state.diverged_at),
        diverged_loss=jnp.where(first, loss, state.diverged_loss),
        **moved,
    )


def _evaluate(
    graph: nnx.GraphDef,
    experiment: Experiment,
    sizes: Sizes,
    mesh: Mesh | None,
    params: Any,
    stats: Any,
    x: Array,
    y: Any,
) -> Outcome:
    """What the model says of one batch, padding included."""
    model = nnx.merge(graph, params, stats)
    x = (scale(devices.shared(x, mesh)) - sizes.mean) / sizes.std
    given, wanted = sizes.task.given(x, y, None)
    outcome = sizes.task.outcome(forward(model, given, experiment.precision, inference()), wanted, y)
    return outcome._replace(values={**outcome.values, **sizes.task.inside(model, given)})
