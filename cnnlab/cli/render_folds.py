"""Prints what the runs of all folds come to."""

import sys
from pathlib import Path
from typing import Any

from rich.text import Text

from cnnlab.cli import render_costs
from cnnlab.cli.render import console_for, show, table

AVERAGE = "macro/f1"
MOST, WIDEST = 5, 8  # figures beside it, of names no longer: 80 columns hold no more, the file has all


def folds(found: dict[str, Any], path: Path) -> None:
    """A table a split: a row a fold, the mean and the deviation of its figures; and what each has cost."""
    console = console_for(sys.stdout)
    by = found["runs"][0]["checkpoint"]["chosen_by"]
    console.print(Text(f"{found['name']}: {found['folds']} folds, of each the best step by {by}"))
    for split, mean in found["mean"].items():
        if split != "validation":
            console.print(Text(f"{split}, which has chosen nothing", style="bold"))
        names = [
            *[name for name in mean if "/" not in name and len(name) <= WIDEST][:MOST],
            *([AVERAGE] if AVERAGE in mean else []),
        ]
        rows = [
            [str(run["fold"]), str(run["checkpoint"]["epoch"]), *(f"{run[split][name]:.4f}" for name in names)]
            for run in found["runs"]
        ]
        for word in ("mean", "deviation"):
            rows.append([word, "", *(f"{found[word][split][name]:.4f}" for name in names)])
        show(console, table((split, "epoch", *(name.replace("/", " ") for name in names)), rows, foot=2))
    show(console, render_costs.runs([(f"fold {run['fold']}", run["costs"]) for run in found["runs"]]))
    runs = [run["run"] for run in found["runs"]]
    console.print(Text(f"runs  {runs[0]} ... {runs[-1]}"))
    console.print(Text(f"more  {path}"))
