"""cnnlab's side of speed.py: a question a line on stdin, milliseconds a step on a line of stdout.

It is the product's own step that is timed, compiled from a spec: pixels to the updated state, running statistics,
metrics and the watch for divergence included; in evaluation what `cnnlab eval` computes.
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
from cnnlab.spec.load import load
from cnnlab.spec.schema import Experiment
from cnnlab.train.step import Program, Sizes, compile_program


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


def program_of(case: Case, experiment: Experiment) -> tuple[Program, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The compiled functions, and a batch of random pixels."""
    channels = case.shape[-1]
    mean, std = np.full(channels, 0.5, np.float32), np.full(channels, 0.25, np.float32)
    made = compile_program(experiment, Sizes(case.shape, case.classes, 10 * case.batch, mean, std))
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (case.batch, *case.shape), np.uint8)
    y = random.integers(0, case.classes, case.batch, np.int32)
    return made, (x, y, np.ones(case.batch, bool))


def milliseconds(step: Callable[[], Any], seconds: float) -> float:
    """A step, by the mean over `seconds` without a wait between them, after two that do not count."""
    jax.block_until_ready(step())
    start = time.perf_counter()
    jax.block_until_ready(step())
    count = max(2, int(seconds / (time.perf_counter() - start)))
    start = time.perf_counter()
    for _ in range(count):
        last = step()
    jax.block_until_ready(last)
    return (time.perf_counter() - start) / count * 1e3


def steps_of(case: Case, experiment: Experiment) -> dict[str, Callable[[], Any]]:
    """Training and evaluation of a batch, by `train` and `eval`; each call gives what can be waited for."""
    made, (x, y, mask) = program_of(case, experiment)
    state = [made.initial_state]

    def train() -> Any:
        state[0] = made.train_step(state[0], x, y, mask)
        return state[0].step

    return {"train": train, "eval": lambda: made.evaluate(state[0].params, state[0].stats, x, y).loss}


@cache
def named(name: str, precision: str) -> dict[str, Callable[[], Any]]:
    case = next(case for case in CASES if case.name == name)
    return steps_of(case, experiment_of(case, precision))


if __name__ == "__main__":
    prepare()
    for line in sys.stdin:
        asked = json.loads(line)
        step = named(asked["name"], asked["precision"])[asked["mode"]]
        print(json.dumps(milliseconds(step, asked["seconds"])), flush=True)
