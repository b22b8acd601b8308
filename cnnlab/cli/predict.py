"""`cnnlab predict`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cnnlab.cli.arguments import Checkpoint, Json


def predict(
    paths: Annotated[list[Path], typer.Argument(metavar="[RUN] FILE...", help="Images, .npy or .npz arrays (x).")],
    weights: Annotated[Path | None, typer.Option("--weights", help="A weights file, instead of a run.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Its network; else as the weights say.")] = None,
    output: Annotated[
        Literal["logits", "probabilities", "features", "reconstruction", "code"] | None,
        typer.Option("--output", help="All values of each example; features are what the head is given."),
    ] = None,
    file: Annotated[Path | None, typer.Option("-o", help="An .npz file for them; else CSV.")] = None,
    checkpoint: Checkpoint = "best",
    json: Json = False,
) -> None:
    """Print class and probability of files, as CSV; of autoencoders the error.

    With a run, images and arrays go through the run's preprocessing. With --weights images go through that of the
    weights, arrays as they are (uint8 counts as pixels).
    """
    from cnnlab.cli.process import prepare

    prepare()
    from cnnlab.cli import render
    from cnnlab.errors import SpecError
    from cnnlab.report.answers import check_name, document, left_out, rows, save
    from cnnlab.runs import prediction
    from cnnlab.runs.directory import open_run

    if file is not None:
        check_name(file)
    if weights is None:
        if model is not None:
            raise SpecError("--model needs --weights", hint="or name a run: cnnlab predict RUN FILE...")
        run, paths = open_run(paths[0]), paths[1:]
        if not paths:
            raise SpecError("predict what?", hint="name images, .npy or .npz files")
        predictor = prediction.of_run(run, checkpoint)
    else:
        predictor = prediction.of_weights(weights, model)
    found = prediction.predict(predictor, paths, output or predictor.output)
    for note in found.notes:
        render.note(note)
    if file is not None:
        save(file, found, output or predictor.output)
        if json:
            render.document({"file": str(file), "examples": len(found.files)})
        else:
            render.text(f"{file}\n")
        return
    for name in () if json and output is not None else left_out(found):
        render.note(f"{name} gives a map for every example, which -o answers.npz writes")
    if json:
        render.document(document(found, output))
    else:
        render.text(rows(found, output))
