"""What a spec's training and evaluation cost on this machine: its own compiled step, timed in rounds."""

import itertools
import math
import os
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import jax

from cnnlab import kernels
from cnnlab.data.batches import Batch, evaluation_batches, steps_per_epoch
from cnnlab.data.memory import processors
from cnnlab.data.prepare import Prepared
from cnnlab.runs.network import Network
from cnnlab.runs.rounds import Round, Timed, Work, each, products, steps_in, timed_round
from cnnlab.runs.teacher import find_lesson
from cnnlab.spec.schema import Experiment
from cnnlab.trace.cost import totals, training_multiply_adds
from cnnlab.train.evaluate import seen_targets
from cnnlab.train.feed import Feed
from cnnlab.train.step import Program, Sizes, compile_program
from cnnlab.train.teacher import is_taught

ROUNDS = 5  # odd, so that the median is one of them
SHARES = {"training": 0.6, "evaluation": 0.3, "products": 0.1}  # of the time to measure for
LEAST_PRODUCTS = 10  # a round: of few, none may have had the machine for itself


@dataclass(frozen=True)
class Measured:
    """All that `cnnlab bench` prints. `memory` is of the compiled step and of the process, bytes, None where unknown.

    `multiply_adds` are those of one image forward, as `cnnlab summary` counts them; `training_multiply_adds` are
    three times that where all trains, and what a teacher does for the image. `peak` is the most multiply-adds a second
    in any product of two square matrices with `side` rows. `load` is how many programs wanted a processor in the
    minute before.
    """

    network: Network
    split: str
    precision: str
    compile_seconds: dict[str, float]
    memory: dict[str, int | None]
    training: Timed
    evaluation: Timed
    multiply_adds: int
    training_multiply_adds: int
    peak: float
    side: int
    kernels: kernels.Status
    load: float | None

    def document(self) -> dict[str, Any]:
        """What `cnnlab bench --json` prints."""
        device = jax.devices()[0]
        return {
            "name": self.network.experiment.name,
            "batch_size": self.network.experiment.data.batch_size,
            "input_shape": list(self.network.traced.input_shape),
            "precision": self.precision,
            "device": {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()},
            "processors": processors(),
            "load_before": self.load,
            "kernels": self.kernels.document(),
            "compile_seconds": self.compile_seconds,
            "compilation_cache": jax.config.jax_compilation_cache_dir,  # pyright: ignore[reportAttributeAccessIssue]
            "multiply_adds": self.multiply_adds,
            "rounds": ROUNDS,
            "training": self._figures(self.training, self.training_multiply_adds),
            "evaluation": {"split": self.split, **self._figures(self.evaluation, self.multiply_adds)},
            "peak": {"side": self.side, "multiply_adds_per_second": self.peak},
            "memory": self.memory,
        }

    def _figures(self, timed: Timed, multiply_adds: int) -> dict[str, Any]:
        images = timed.images_per_second()
        work = multiply_adds * images["median"]
        return {
            "images_per_second": images,
            "milliseconds_per_step": timed.milliseconds(),
            "images_per_step": timed.images,
            "steps_per_round": timed.rounds[0].steps,
            "data_share": timed.data_share,
            "multiply_adds_per_image": multiply_adds,
            "multiply_adds_per_second": work,
            "share_of_peak": work / self.peak,
        }


def measure(experiment: Experiment, prepared: Prepared, network: Network, seconds: float) -> Measured:
    """Compile the spec's step and evaluation, warm them up, and run them in turn for about `seconds`.

    A step that takes long makes it longer: there are `ROUNDS` rounds, of one step or more. Nothing is written.
    With `model.unfreeze_at_epoch` the step is that of the first epochs.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None  # Windows has none
    lesson = find_lesson(experiment, prepared)
    program = compile_program(experiment, Sizes.of(experiment, prepared), teacher=lesson and lesson.teacher)
    precision = str(getattr(experiment, "precision", "float32"))
    split = next(name for name in ("validation", "test", "train") if name in prepared.splits)
    compile_seconds, memory = _compiled(program, experiment, prepared, split)
    with closing(Feed(program, experiment, prepared)) as feed:
        work = _work(feed, program, experiment, prepared, split)
        steps = {name: steps_in(one, seconds * SHARES[name] / ROUNDS) for name, one in work.items()}
        memory |= {"process_peak": _process_peak(), "device_peak": _device_peak()}  # before the products take theirs
        product, side = products(precision)
        tries = max(LEAST_PRODUCTS, steps_in(product, seconds * SHARES["products"] / ROUNDS))
        rounds: dict[str, list[Round]] = {name: [] for name in work}
        fastest = math.inf
        for _ in range(ROUNDS):  # in turn: what else the machine does slows all of them
            for name, one in work.items():
                rounds[name].append(timed_round(one, steps[name]))
            fastest = min(fastest, *(timed_round(product, 1).seconds for _ in range(tries)))

    size, costs = experiment.data.batch_size, network.costs()
    per_step = {name: prepared.counts[name] / steps_per_epoch(prepared.counts[name], size) for name in ("train", split)}
    return Measured(
        network=network,
        split=split,
        precision=precision,
        compile_seconds=compile_seconds,
        memory=memory,
        training=Timed(tuple(rounds["training"]), per_step["train"]),
        evaluation=Timed(tuple(rounds["evaluation"]), per_step[split]),
        multiply_adds=totals(costs).multiply_adds,
        training_multiply_adds=training_multiply_adds(costs, experiment.model.freeze)
        + (lesson.multiply_adds if lesson and is_taught(experiment) else 0),
        peak=side**3 / fastest,
        side=side,
        kernels=kernels.enable(),
        load=load,
    )


def _compiled(
    program: Program, experiment: Experiment, prepared: Prepared, split: str
) -> tuple[dict[str, float], dict[str, int | None]]:
    """Seconds to trace and compile step and evaluation, and the bytes of the step.

    A donated state is both argument and result, in one place: the step's bytes count it once. oneDNN's own working
    memory is not among them.
    """
    state, size = program.initial_state, experiment.data.batch_size
    feed = Feed(program, experiment, prepared)
    before = time.perf_counter()
    feed.begin(0, state)
    step = feed.lowered(state).compile()
    between = time.perf_counter()
    targets = seen_targets(program.task, prepared)
    batch = next(evaluation_batches(prepared, split, size, targets))
    program.evaluate.lower(state.params, state.stats, batch.x, batch.y).compile()  # pyright: ignore[reportFunctionMemberAccess]
    seconds = {"training_step": between - before, "evaluation": time.perf_counter() - between}
    found = step.memory_analysis()
    if found is None:
        return seconds, dict.fromkeys(("step", "step_arguments", "step_results", "step_temporary"))
    results = found.output_size_in_bytes - found.alias_size_in_bytes
    memory: dict[str, int | None] = {
        "step": found.argument_size_in_bytes + found.temp_size_in_bytes + results,
        "step_arguments": found.argument_size_in_bytes,
        "step_temporary": found.temp_size_in_bytes,
        "step_results": results,
    }
    return seconds, memory


def _work(feed: Feed, program: Program, experiment: Experiment, prepared: Prepared, split: str) -> dict[str, Work]:
    """Training, which goes on from step to step, and evaluation of what it has come to."""
    state, epoch, done = program.initial_state, 0, program.steps_per_epoch

    def train(steps: int) -> tuple[Any, float]:
        """Goes on where it stopped, from epoch to epoch."""
        nonlocal state, epoch, done
        before = feed.data_seconds
        while steps:
            if done == program.steps_per_epoch:
                feed.begin(epoch, state)
                epoch, done = epoch + 1, 0
            count = min(steps, program.steps_per_epoch - done)
            state = feed.advance(state, done, count)
            steps, done = steps - count, done + count
        return state, feed.data_seconds - before

    def evaluate(batch: Batch) -> Any:
        return program.evaluate(state.params, state.stats, batch.x, batch.y)

    targets = seen_targets(program.task, prepared)
    passes = (evaluation_batches(prepared, split, experiment.data.batch_size, targets) for _ in itertools.count())
    return {
        "training": train,
        "evaluation": each(itertools.chain.from_iterable(passes), evaluate),
    }


def _process_peak() -> int | None:
    """The most bytes of memory that this process has held, or None where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _device_peak() -> int | None:
    """The most bytes that JAX has held on a GPU or TPU; None on a CPU, which is the process's own memory."""
    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
