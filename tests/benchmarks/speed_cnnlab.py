"""cnnlab's side of speed.py: a question a line on stdin, milliseconds a step on a line of stdout.

It is the product's own step that is timed, compiled from a spec: pixels to the updated state, running statistics,
metrics and the watch for divergence included; in evaluation what `cnnlab eval` computes.
"""

import json
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from cases import CASES

from cnnlab.cli.process import prepare
from cnnlab.spec.load import load
from cnnlab.train.step import Program, Sizes, compile_program


@cache
def program(name: str, precision: str) -> tuple[Program, Any, list[np.ndarray]]:
    """The compiled functions of a case, a fresh state, and a batch of random pixels."""
    case = next(case for case in CASES if case.name == name)
    spec = {
        "data": {"source": "npz", "path": "none.npz", "batch_size": case.batch},
        "model": case.model,
        "precision": precision,
        "optimizer": {"name": "momentum", "learning_rate": {"schedule": "constant", "peak": 1e-3}},
        "train": {"epochs": 1},
    }
    if precision == "float32":
        del spec["precision"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "spec.yaml")
        path.write_text(json.dumps(spec))
        experiment = load(path)
    channels = case.shape[-1]
    mean, std = np.full(channels, 0.5, np.float32), np.full(channels, 0.25, np.float32)
    made = compile_program(experiment, Sizes(case.shape, case.classes, 10 * case.batch, mean, std))
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (case.batch, *case.shape), np.uint8)
    y = random.integers(0, case.classes, case.batch, np.int32)
    return made, [made.initial_state], [x, y, np.ones(case.batch, bool)]


def milliseconds(name: str, mode: str, precision: str, seconds: float) -> float:
    """A step, by the mean over `seconds`, after one that waits."""
    made, state, (x, y, mask) = program(name, precision)

    def step() -> Any:
        if mode == "train":
            state[0] = made.train_step(state[0], x, y, mask)
            return state[0].step
        return made.evaluate(state[0].params, state[0].stats, x, y).loss

    jax.block_until_ready(step())
    start = time.perf_counter()
    jax.block_until_ready(step())
    count = max(2, int(seconds / (time.perf_counter() - start)))
    start = time.perf_counter()
    for _ in range(count):
        last = step()
    jax.block_until_ready(last)
    return (time.perf_counter() - start) / count * 1e3


if __name__ == "__main__":
    prepare()
    for line in sys.stdin:
        print(json.dumps(milliseconds(**json.loads(line))), flush=True)
