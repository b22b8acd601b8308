"""Answers of a network to files, as people and programs read them."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from cnnlab.errors import DataError
from cnnlab.files import write_atomically
from cnnlab.layers.windows import show
from cnnlab.metrics.predictions import csv_text
from cnnlab.runs.prediction import Answers
from cnnlab.runs.predictor import Output


def check_name(path: Path) -> None:
    """Raises DataError unless the name is that of an .npz file."""
    if path.suffix != ".npz":
        raise DataError(f"'{path.suffix}' is no format of answers", where=str(path), hint="name an .npz file")


def save(path: Path, answers: Answers, output: Output) -> None:
    """An .npz file: the values under the output's name [example, ...], `files`, `indices` and `classes`.

    Of several heads `<head>/<output>` and `<head>/classes`, of reconstructions `reconstruction` and `mse`.
    """
    check_name(path)
    buffer = io.BytesIO()
    arrays = {"files": np.array(answers.files), "indices": np.array(answers.indices)}
    for name, part in (answers.heads or {"": answers}).items():
        prefix, what = f"{name}/" if name else "", output if part.mse is None else "reconstruction"
        arrays |= {f"{prefix}{what}": part.values, f"{prefix}classes": np.array(part.classes)}
        if part.mse is not None:
            arrays[f"{prefix}mse"] = part.mse
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def document(answers: Answers, output: Output | None) -> list[dict[str, Any]]:
    """A row an example: its class and probability, its values, or a reconstruction's error; with `output` all values.

    Heads by their names.
    """
    rows: list[dict[str, Any]] = [
        {"file": file, "index": index} for file, index in zip(answers.files, answers.indices, strict=True)
    ]
    for name, part in answers.heads.items():
        if output is None and name in left_out(answers, output):  # they have no class
            continue
        for row, said in zip(rows, _said(part, output), strict=True):
            row[name] = said
    if not answers.heads:
        rows = [row | said for row, said in zip(rows, _said(answers, output), strict=True)]
    return rows


def _said(answers: Answers, output: Output | None) -> list[dict[str, Any]]:
    """What one task says of each example."""
    if output is not None:
        return [{output: values.tolist()} for values in answers.values]
    if answers.mse is not None:
        return [{"mse": mse} for mse in answers.mse.tolist()]
    if answers.values.ndim == 2 and not answers.one_of:
        return [dict(zip(answers.classes, values, strict=True)) for values in answers.values.tolist()]
    return [{"class": name, "probability": probability} for name, probability in _best(answers)]


def left_out(answers: Answers, output: Output | None) -> tuple[str, ...]:
    """The heads of several whose answers are maps, which are no columns of CSV."""
    there = tuple(
        name for name, part in answers.heads.items() if part.values.ndim != 2 and (output or part.mse is None)
    )
    return there if len(there) < len(answers.heads) else ()


def rows(answers: Answers, output: Output | None) -> str:
    """The same as CSV. Raises DataError for values that are no list of numbers an example."""
    return csv_text(table(answers, output))


def table(answers: Answers, output: Output | None) -> list[list[Any]]:
    """Its lines, the names of the columns first."""
    keys = list(zip(answers.files, answers.indices, strict=True))
    parts = {name: part for name, part in answers.heads.items() if name not in left_out(answers, output)}
    tables = [(f"{name} ", *_columns(part, output)) for name, part in parts.items()]
    if not tables:
        tables = [("", *_columns(answers, output))]
    head = [f"{prefix}{column}" for prefix, columns, _ in tables for column in columns]
    cells = [[cell for row in each for cell in row] for each in zip(*(found for *_, found in tables), strict=True)]
    return [["file", "index", *head], *([*key, *row] for key, row in zip(keys, cells, strict=True))]


def _columns(answers: Answers, output: Output | None) -> tuple[list[str], list[Any]]:
    """The names of columns, and a row of cells for each example."""
    if output is None and answers.mse is not None:
        return ["mse"], [[mse] for mse in answers.mse.tolist()]
    if output is None and (answers.one_of or answers.values.ndim != 2):
        return ["class", "probability"], _best(answers)
    if answers.values.ndim != 2:
        message = f"the {output} of an example are {show(answers.values.shape[1:])}, and a line of CSV is a vector"
        raise DataError(message, hint="write them to a file with -o values.npz")
    numbered = [str(i) for i in range(answers.values.shape[1])]
    named = output in (None, "logits", "probabilities") and len(answers.classes) == len(numbered)
    return list(answers.classes if named else numbered), answers.values.tolist()


def _best(answers: Answers) -> list[tuple[str, float]]:
    if answers.values.ndim != 2:
        message = f"the network gives {show(answers.values.shape[1:])} for an example, and no class"
        raise DataError(message, hint="ask for --output logits -o values.npz")
    best = answers.values.argmax(-1)
    return [(answers.classes[i], float(values[i])) for i, values in zip(best, answers.values, strict=True)]
