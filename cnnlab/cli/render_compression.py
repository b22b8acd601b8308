"""Prints what compression saves and costs."""

import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from cnnlab.cli.render import console_for, show, table
from cnnlab.files import write_atomically

if TYPE_CHECKING:
    from cnnlab.runs.compression import Comparison


def comparison(found: "Comparison") -> None:
    """A row for the original and each outcome."""
    console, word = console_for(sys.stdout), found.main.replace("_", " ").replace("/", " ")
    rows = [found.row(each) for each in found.rows]
    console.print(Text(f"{found.split}: {found.examples:,} examples; bytes are those of all tensors"))
    cells = [
        [
            row["what"],
            *(f"{row[name]:,}" for name in ("parameters", "bytes", "multiply_adds")),
            f"{row[found.main]:.4f}",
            f"{row['difference']:+.4f}" if i else "",
        ]
        for i, row in enumerate(rows)
    ]
    show(console, table(("", "parameters", "bytes", "multiply-adds", word, "difference"), cells))


def notes(found: "Comparison") -> list[str]:
    """A sentence for each choice that no layer takes."""
    return [
        f"{row.choice}: no layer becomes two, which would save no weights"
        for row in found.rows
        if row.choice.low_rank and not row.choice.int8 and not row.ranks
    ]


def to_csv(found: "Comparison", path: Path) -> None:
    """A row each, with every figure; `layers` counts those that became two."""
    text = io.StringIO()
    rows = [{**(row := found.row(each)), "ranks": len(row["ranks"])} for each in found.rows]
    rows = [{("layers" if key == "ranks" else key): value for key, value in row.items()} for row in rows]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())
