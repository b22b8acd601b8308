"""cnnlab's side of speed.py and gpu.py: a question a line on stdin, milliseconds a step on a line of stdout.

It is the product's own steps that are timed, compiled from a spec and fed as training feeds them: pixels to the updated
state, running statistics, metrics and the watch for divergence included; in evaluation what `cnnlab eval` computes.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from cases import CASES, Case

from cnnlab.cli.process import prepare
from cnnlab.data.dataset import Dataset
from cnnlab.data.prepare import Prepared
from cnnlab.spec.load import load
from cnnlab.spec.schema import Experiment
from cnnlab.train.feed import Feed
from cnnlab.train.step import Program, Sizes, compile_program

STEPS = 10  # of an epoch


def experiment_of(case: Case, precision: str = "float32", **train: Any) -> Experiment:
    """The case as a spec that was loaded from a file; `train` are keys of that section."""
    spec = {
        "data": {"source": "npz", "path": "none.npz", "batch_size": case.batch},
        "model": case.model,
        "precision": precision,
        "optimizer": {"name": "momentum", "learning_rate": {"schedule": "constant", "peak": 1e-3}},
        "train": {"epochs": 1, **train},
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "spec.yaml")
        path.write_text(json.dumps(spec))
        return load(path)


def program_of(case: Case, experiment: Experiment) -> tuple[Program, Prepared]:
    """The compiled functions, and ten batches of random pixels."""
    random, count, channels = np.random.default_rng(0), STEPS * case.batch, case.shape[-1]
    x = random.integers(0, 256, (count, *case.shape), np.uint8)
    y = random.integers(0, case.classes, count, np.int32)
    dataset = Dataset(x, y, tuple(map(str, range(case.classes))))
    mean, std = np.full(channels, 0.5, np.float32), np.full(channels, 0.25, np.float32)
    prepared = Prepared(dataset, {"train": np.arange(count)}, mean, std)
    return compile_program(experiment, Sizes.of(experiment, prepared)), prepared


def milliseconds(work: Callable[[int], Any], seconds: float) -> float:
    """A step, by the mean over `seconds` without a wait between them, after two that do not count."""
    jax.block_until_ready(work(1))
    start = time.perf_counter()
    jax.block_until_ready(work(1))
    count = max(2, int(seconds / (time.perf_counter() - start)))
    start = time.perf_counter()
    jax.block_until_ready(work(count))
    return (time.perf_counter() - start) / count * 1e3


def works(case: Case, experiment: Experiment) -> dict[str, Callable[[int], Any]]:
    """`train` and `eval`, each to be called with a number of steps; what it gives can be waited for."""
    program, prepared = program_of(case, experiment)
    feed, state, done = Feed(program, experiment, prepared), [program.initial_state], [0]
    x, y = (values[: case.batch] for values in (prepared.dataset.x, prepared.dataset.y))

    def train(steps: int) -> Any:
        while steps:
            if done[0] % STEPS == 0:
                feed.begin(0, state[0])
            count = min(steps, STEPS - done[0] % STEPS)
            state[0] = feed.advance(state[0], done[0] % STEPS, count)
            steps, done[0] = steps - count, done[0] + count
        return state[0].step

    def evaluate(steps: int) -> Any:
        params = program.ready(state[0].params)  # once a pass, as in train/evaluate.py
        for _ in range(steps):
            outcome = program.evaluate(params, state[0].stats, x, y)
        return outcome.values["loss"]

    return {"train": train, "eval": evaluate}


@cache
def named(name: str, precision: str, batch: int | None) -> dict[str, Callable[[int], Any]]:
    case = next(case for case in CASES if case.name == name)
    case = case._replace(batch=batch or case.batch)
    return works(case, experiment_of(case, precision))


if __name__ == "__main__":
    prepare()
    for line in sys.stdin:
        asked = json.loads(line)
        work = named(asked["name"], asked["precision"], asked.get("batch"))[asked["mode"]]
        print(json.dumps(milliseconds(work, asked["seconds"])), flush=True)
