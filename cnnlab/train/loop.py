"""The loop: step, count, measure. It yields what happened and holds nothing that the state does not."""

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

import jax
import numpy as np

from cnnlab.data.prepare import Prepared
from cnnlab.errors import Diverged
from cnnlab.spec.schema import Experiment
from cnnlab.tasks.task import Task
from cnnlab.train import devices, hosts
from cnnlab.train.evaluate import evaluate
from cnnlab.train.feed import Feed
from cnnlab.train.state import State
from cnnlab.train.step import UNREASONABLE, Program
from cnnlab.train.update import learning_rate

PROGRESS_SECONDS = 0.5  # how often the device is asked for figures while it works
LAST_ITERATE = "last_iterate"  # in a row: the validation split by the weights that no average was taken of
DISPATCH_SECONDS = 0.25  # for how long the device gets work at once: a signal waits as long


@dataclass(frozen=True)
class Progress:
    """Within an epoch: finished steps of the run, running means, speed."""

    epoch: int
    step: int
    loss: float
    images_per_second: float


@dataclass(frozen=True)
class EpochEnd:
    """After an epoch: its row of the history, the state that the next one starts from, sentences for the user."""

    row: dict[str, float]
    state: State
    notes: tuple[str, ...] = ()


class Stopped(Exception):
    """`check` asked to stop; `state` is whole, after a finished step."""

    def __init__(self, state: State):
        self.state = state


def fit(
    program: Program,
    experiment: Experiment,
    prepared: Prepared,
    state: State,
    epoch: int,
    asked_to_stop: Callable[[], bool],
) -> Generator[Progress | EpochEnd, None, None]:
    """Train from `state`, in which `epoch` epochs are recorded, to the last epoch; may start inside an epoch.

    Raises Diverged, with the step, and Stopped as soon as `asked_to_stop` says so. Close it where it is left early.
    """
    with closing(Feed(program, experiment, prepared)) as feed:
        yield from _fit(feed, program, experiment, prepared, state, epoch, asked_to_stop)


def _fit(
    feed: Feed,
    program: Program,
    experiment: Experiment,
    prepared: Prepared,
    state: State,
    epoch: int,
    asked_to_stop: Callable[[], bool],
) -> Iterator[Progress | EpochEnd]:
    at_once = 1
    steps, size, examples = program.steps_per_epoch, experiment.data.batch_size, prepared.counts["train"]
    for current in range(epoch, experiment.train.epochs):
        started = last_report = time.perf_counter()
        begun = done = int(state.step) - current * steps
        if done < steps:
            feed.begin(current, state)
        while done < steps:
            if asked_to_stop():
                check_finite(state, program.task)  # nothing that has diverged is saved
                raise Stopped(state)
            count, before = hosts.first(min(at_once, steps - done)), time.perf_counter()
            state = jax.block_until_ready(feed.advance(state, done, count))
            done, now = done + count, time.perf_counter()
            at_once = max(1, int(count * DISPATCH_SECONDS / (now - before)))
            if now - last_report > PROGRESS_SECONDS:
                last_report = now
                check_finite(state, program.task)
                speed = (min(done * size, examples) - begun * size) / (now - started)
                yield Progress(current + 1, int(state.step), program.task.means(state.sums)["loss"], speed)
        check_finite(state, program.task)
        trained, notes = time.perf_counter() - started, feed.time_spent()
        row = {"epoch": current + 1, "step": int(state.step)}
        row |= {f"train/{name}": value for name, value in program.means(state.sums).items()}
        row |= _validate(program, experiment, prepared, state, asked_to_stop)
        row["learning_rate"] = learning_rate(program.rate, state, int(row["step"]) - 1)
        row["seconds"] = round(time.perf_counter() - started, 3)
        row["images_per_second"] = round((examples - min(begun * size, examples)) / max(trained, 1e-9), 1)
        fresh = {"sums": program.zero, "plateau": program.update.after_epoch(state, row)}
        state = state._replace(**devices.replicated(fresh, program.mesh))
        yield EpochEnd(row, state, notes)


def check_finite(state: State, task: Task) -> None:
    """Raises Diverged where a step of the state's past has lost its way."""
    step = int(state.diverged_at)
    if step < 0:
        return
    loss, limit = float(state.diverged_loss), UNREASONABLE * task.guessing
    if not math.isfinite(loss):
        why = f"the loss is {loss}"
    elif loss > limit:
        why = f"the loss is {loss:.4g}, more than {UNREASONABLE:,.0f} times that of guessing"
    else:
        why = "the gradient is not finite"
    raise Diverged(f"training diverged at step {step}: {why}", hint="try a lower learning_rate, or clip_norm")


def _validate(
    program: Program,
    experiment: Experiment,
    prepared: Prepared,
    state: State,
    asked_to_stop: Callable[[], bool],
) -> dict[str, float]:
    """The figures of the weights by which the network is judged, and where these are others, of the last iterate."""
    if "validation" not in prepared.splits:
        return {}

    def check() -> None:
        if asked_to_stop():
            raise Stopped(state)

    size = experiment.data.batch_size
    states = {"validation": program.seen(state)} | ({} if program.judged is None else {LAST_ITERATE: state})
    row = {}
    for name, seen in states.items():
        found = evaluate(program, seen.params, seen.stats, prepared, "validation", size, check)
        if not np.isfinite(found.values["loss"]).all():
            message = f"training diverged by step {int(state.step)}: the validation loss is not finite"
            raise Diverged(message, hint="try a lower learning_rate, or clip_norm")
        row |= {f"{name}/{figure}": value for figure, value in program.task.validation(found).items()}
    return row
