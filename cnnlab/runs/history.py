"""history.csv: a row an epoch, floats written so that reading gives the same bits."""

import csv
import io
from pathlib import Path

from cnnlab.errors import RunError
from cnnlab.files import write_atomically
from cnnlab.spec.train import EarlyStopping
from cnnlab.tasks.task import Task
from cnnlab.train.loop import LAST_ITERATE
from cnnlab.train.stopping import best_epoch
from cnnlab.train.teacher import FAR

_WHOLE = ("epoch", "step")


def columns(task: Task, *, averaged: bool = False, taught: bool = False) -> list[str]:
    """What a row has for a task; where validation goes by an average of the weights, the last iterate's beside; and
    how far a student is from its teacher."""
    splits = ["validation", LAST_ITERATE] if averaged else ["validation"]
    figures = [f"train/{name}" for name in (*task.trained, *([FAR] if taught else []))]
    figures += [f"{split}/{name}" for split in splits for name in task.validated]
    return ["epoch", "step", *figures, "learning_rate", "seconds", "images_per_second"]


def write(path: Path, rows: list[dict[str, float]], columns: list[str]) -> None:
    """The whole history, atomically; a figure that was not measured stays empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([repr(row[name]) if name in row else "" for name in columns] for row in rows)
    write_atomically(path, buffer.getvalue())


def read(path: Path) -> list[dict[str, float]]:
    """The rows; none where there is no file yet. Raises RunError where it is not such a file."""
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                {name: (int if name in _WHOLE else float)(text) for name, text in row.items() if text != ""}
                for row in csv.DictReader(file)
            ]
    except (ValueError, TypeError, AttributeError):
        raise RunError("cannot be read as a history", where=str(path), hint="was it edited?") from None


def best_row(path: Path, stopping: EarlyStopping) -> dict[str, float] | None:
    """The row of the best epoch, None before there is one."""
    rows = read(path)
    best = best_epoch(rows, stopping)
    return None if best is None else rows[best]
