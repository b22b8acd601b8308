"""`cnnlab predict`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cnnlab.cli.arguments import Json, RunPath


def predict(
    run: RunPath,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Images, .npy or .npz arrays (x).")],
    checkpoint: Annotated[Literal["best", "last"], typer.Option("--checkpoint", help="Which stored step.")] = "best",
    json: Json = False,
) -> None:
    """Print class and probability of files, as CSV.

    Images and arrays go through the run's own preprocessing.
    """
    from cnnlab.cli import render
    from cnnlab.metrics.predictions import csv_text
    from cnnlab.runs.directory import open_run
    from cnnlab.runs.prediction import predict as predict_files

    found, notes = predict_files(open_run(run), files, checkpoint)
    for note in notes:
        render.note(note)
    if json:
        keys = ("file", "index", "class", "probability")
        render.document([dict(zip(keys, vars(one).values(), strict=True)) for one in found])
    else:
        rows = [[one.file, one.index, one.label, one.probability] for one in found]
        render.text(csv_text([["file", "index", "class", "probability"], *rows]))
