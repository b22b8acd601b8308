"""`cnnlab lr-find`."""

from pathlib import Path
from typing import Annotated

import typer

from cnnlab.cli.arguments import Json, Overrides, Spec
from cnnlab.errors import CnnlabError

MOST = 100_000


def lr_find(
    spec: Spec,
    overrides: Overrides = None,
    picture: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Draw the losses: a .png or .svg.")
    ] = None,
    updates: Annotated[int, typer.Option("--steps", help="Updates, each at a larger rate.")] = 100,
    low: Annotated[float, typer.Option("--from", help="The first learning rate.")] = 1e-6,
    high: Annotated[float, typer.Option("--to", help="The last one, unless the loss is hopeless before.")] = 10.0,
    json: Json = False,
) -> None:
    """Suggest a learning rate for a spec by a range test.

    Runs the spec's own step from its first weights while the rate grows exponentially (Smith 2017), and suggests the
    rate at which the smoothed loss falls fastest. Changes neither the spec nor any run.
    """
    if not 3 <= updates <= MOST:
        raise CnnlabError(f"--steps: {updates} updates are no range test", hint=f"from 3 to {MOST:,}")
    if not 0 < low < high < float("inf"):
        message = f"--from {low:g} --to {high:g}: the rates must be above 0, and grow"
        raise CnnlabError(message, hint="such as --from 1e-6 --to 10")
    from cnnlab.report.style import picture_kind

    kind = None if picture is None else picture_kind(picture)
    from cnnlab.cli.process import prepare

    prepare()
    from cnnlab.cli import render
    from cnnlab.cli.looking import looking
    from cnnlab.files import write_atomically
    from cnnlab.runs.network import network
    from cnnlab.runs.pretrained import prepare_experiment
    from cnnlab.runs.range_test import range_test
    from cnnlab.spec.load import load
    from cnnlab.spec.schedules import Schedule
    from cnnlab.tasks import task_of

    with looking():
        experiment, prepared = prepare_experiment(load(spec, overrides))
    network(experiment, prepared.input_shape, task_of(experiment, prepared), prepared=prepared)
    for note in prepared.notes:
        render.note(note)
    found = range_test(experiment, prepared, low, high, updates)
    if picture is not None and kind is not None:
        from cnnlab.report.range_test import range_test_picture

        write_atomically(picture, range_test_picture(found, kind, name=experiment.name or spec.stem))
    content = {
        "name": experiment.name,
        "suggestion": found.suggestion,
        "least": {"rate": float(found.rates[found.least]), "loss": float(found.smoothed[found.least])},
        "asked": {"from": low, "to": high, "steps": updates},
        "rates": found.rates.tolist(),
        "losses": found.losses.tolist(),
        "smoothed": found.smoothed.tolist(),
    }
    if json:
        render.document(content)
    else:
        peak = ".peak" if isinstance(experiment.optimizer.learning_rate, Schedule) else ""
        render.range_test(content, f"optimizer.learning_rate{peak}", picture)
