"""`cnnlab eval`."""

from typing import Annotated

import typer

from cnnlab.cli.arguments import Checkpoint, Json, RunPath


def evaluate(
    run: RunPath,
    split: Annotated[str, typer.Option("--split", help="train, validation or test.")] = "test",
    checkpoint: Checkpoint = "best",
    json: Json = False,
) -> None:
    """Print the tables of a run from its checkpoint.

    They go to RUN/eval/SPLIT/ too, with every prediction.
    """
    from cnnlab.cli.process import prepare

    prepare()
    from cnnlab.cli import outcomes, render
    from cnnlab.cli.looking import looking
    from cnnlab.report.results import evaluate as evaluate_run
    from cnnlab.runs.directory import open_run, unfinished
    from cnnlab.runs.evaluation import restore_run

    directory = open_run(run)
    with looking():
        restored = restore_run(directory, checkpoint)
    outcome = evaluate_run(restored, split, checkpoint)
    for note in (*unfinished(directory), *outcome.notes):
        render.note(note)
    if json:
        outcome.complete()
        render.document(outcome.report)
    else:
        outcomes.shown_then_completed(outcome)
