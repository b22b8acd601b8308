"""Cross-validation: what the runs of all folds come to, as mean and deviation of every figure."""

import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnlab.files import write_atomically
from cnnlab.report.results import Outcome

LEFT_OUT = ("n",)  # numbers that are no figures


@dataclass(frozen=True)
class FoldResult:
    """A fold's finished run: the figures of its best step by split, `validation` and, where there is one, `test`."""

    fold: int
    outcome: Outcome
    figures: dict[str, dict[str, float]]


def fold_result(fold: int, outcome: Outcome) -> FoldResult:
    """What a run's eval/*/metrics.json hold, for the splits that its training has evaluated."""
    found = {}
    for split in ("validation", "test"):
        path = Path(outcome.run) / "eval" / split / "metrics.json"
        if path.exists():
            found[split] = figures(json.loads(path.read_text(encoding="utf-8")))
    return FoldResult(fold, outcome, found)


def figures(report: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """Every number of a report by its path, such as `macro/f1`; what lies in lists is none of them."""
    found: dict[str, float] = {}
    for name, value in report.items():
        if isinstance(value, dict):
            found |= figures(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool) and name not in LEFT_OUT:
            found[prefix + name] = float(value)
    return found


def document(name: str, results: list[FoldResult]) -> dict[str, Any]:
    """What `cnnlab train --fold all --json` prints, and folds.json holds.

    The deviation is the sample's, with n - 1. Folds share their training examples, so it is no standard error of
    what another sample of the data would give (Bengio and Grandvalet 2004).
    """
    splits = list(results[0].figures)
    values = {split: _by_figure([result.figures[split] for result in results]) for split in splits}
    return {
        "name": name,
        "folds": len(results),
        "runs": [_run(result) for result in results],
        "mean": {split: _each(values[split], statistics.fmean) for split in splits},
        "deviation": {split: _each(values[split], statistics.stdev) for split in splits},
    }


def write(path: Path, found: dict[str, Any]) -> None:
    """The document as a file."""
    write_atomically(path, json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def _run(result: FoldResult) -> dict[str, Any]:
    whole = result.outcome.document()
    return {
        "fold": result.fold,
        **{key: whole[key] for key in ("run", "epochs", "checkpoint", "costs")},
        **result.figures,
    }


def _by_figure(folds: list[dict[str, float]]) -> dict[str, list[float]]:
    """The values that are finite numbers in all folds."""
    shared = [name for name in folds[0] if all(math.isfinite(fold.get(name, math.nan)) for fold in folds)]
    return {name: [fold[name] for fold in folds] for name in shared}


def _each(values: dict[str, list[float]], figure: Any) -> dict[str, float]:
    return {name: float(figure(numbers)) for name, numbers in values.items()}
