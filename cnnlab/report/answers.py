"""Answers of a network to files, as people and programs read them."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from cnnlab.errors import DataError
from cnnlab.files import write_atomically
from cnnlab.layers.windows import show
from cnnlab.metrics.predictions import csv_text
from cnnlab.runs.prediction import Answers, Output


def check_name(path: Path) -> None:
    """Raises DataError unless the name is that of an .npz file."""
    if path.suffix != ".npz":
        raise DataError(f"'{path.suffix}' is no format of answers", where=str(path), hint="name an .npz file")


def save(path: Path, answers: Answers, output: Output) -> None:
    """An .npz file: the values under the output's name [example, ...], `files`, `indices` and `classes`; of
    reconstructions `mse` too."""
    check_name(path)
    buffer = io.BytesIO()
    arrays = {output: answers.values, "files": np.array(answers.files), "indices": np.array(answers.indices)}
    if answers.mse is not None:
        arrays["mse"] = answers.mse
    np.savez(buffer, **arrays, classes=np.array(answers.classes))  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def document(answers: Answers, output: Output | None) -> list[dict[str, Any]]:
    """A row an example: its class and probability, of reconstructions the error, or with `output` all its values."""
    keys = zip(answers.files, answers.indices, strict=True)
    if output is not None:
        return [
            {"file": file, "index": index, output: values.tolist()}
            for (file, index), values in zip(keys, answers.values, strict=True)
        ]
    if answers.mse is not None:
        return [
            {"file": file, "index": index, "mse": mse}
            for (file, index), mse in zip(keys, answers.mse.tolist(), strict=True)
        ]
    return [
        {"file": file, "index": index, "class": name, "probability": probability}
        for (file, index), (name, probability) in zip(keys, _best(answers), strict=True)
    ]


def rows(answers: Answers, output: Output | None) -> str:
    """The same as CSV. Raises DataError for values that are no list of numbers an example."""
    keys = list(zip(answers.files, answers.indices, strict=True))
    if output is None and answers.mse is not None:
        head, found = ["mse"], [[mse] for mse in answers.mse.tolist()]
    elif output is None:
        head, found = ["class", "probability"], _best(answers)
    else:
        if answers.values.ndim != 2:
            message = f"the {output} of an example are {show(answers.values.shape[1:])}, and a line of CSV is a vector"
            raise DataError(message, hint="write them to a file with -o values.npz")
        numbered = [str(i) for i in range(answers.values.shape[1])]
        named = output in ("logits", "probabilities") and len(answers.classes) == len(numbered)
        head, found = list(answers.classes if named else numbered), answers.values.tolist()
    return csv_text([["file", "index", *head], *([*key, *row] for key, row in zip(keys, found, strict=True))])


def _best(answers: Answers) -> list[tuple[str, float]]:
    if answers.values.ndim != 2:
        message = f"the network gives {show(answers.values.shape[1:])} for an example, and no class"
        raise DataError(message, hint="ask for --output logits -o values.npz")
    best = answers.values.argmax(-1)
    return [(answers.classes[i], float(values[i])) for i, values in zip(best, answers.values, strict=True)]
