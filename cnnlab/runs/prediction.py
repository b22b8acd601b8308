"""Predictions for files that were not part of a run's data, with the run's own preprocessing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnlab.data.inputs import read_inputs
from cnnlab.runs.directory import Run
from cnnlab.runs.evaluation import load_state
from cnnlab.spec.load import load
from cnnlab.spec.schema import Npz
from cnnlab.train.step import Sizes, compile_program


@dataclass(frozen=True)
class Prediction:
    """One example: its file, its place there, the class and the probability that the network gives it."""

    file: str
    index: int
    label: str
    probability: float


def predict(run: Run, files: Sequence[Path], which: str) -> tuple[list[Prediction], tuple[str, ...]]:
    """A prediction for every example of every file, and notes on damaged checkpoints.

    Every file is read before the first prediction. Raises DataError for a file that cannot be used.
    """
    experiment, data = load(run.resolved), run.read_json(run.data)
    sizes = Sizes.of_description(data)
    pixels = not isinstance(experiment.data, Npz) or data["dtype"] == "uint8"
    inputs = [read_inputs(path, sizes.input_shape, pixels=pixels) for path in files]
    program = compile_program(experiment, sizes)
    state, _, notes = load_state(run, experiment, program, which, "validation" in data["counts"])
    found = []
    size = experiment.data.batch_size
    for path, x in zip(files, inputs, strict=True):
        for start in range(0, len(x), size):
            rows = x[start : start + size]
            padded = np.concatenate([rows, np.zeros((size - len(rows), *rows.shape[1:]), rows.dtype)])
            outcome = program.evaluate(state.params, state.stats, padded, np.zeros(size, np.int32))
            labels, probabilities = np.asarray(outcome.predicted), np.asarray(outcome.probability)
            found += [
                Prediction(str(path), start + i, data["classes"][labels[i]], float(probabilities[i]))
                for i in range(len(rows))
            ]
    return found, notes
