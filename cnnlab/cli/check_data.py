"""`cnnlab data check`."""

from pathlib import Path
from typing import Annotated

import typer

from cnnlab.cli.arguments import Json, Overrides, Spec


def check_data(
    spec: Spec,
    overrides: Overrides = None,
    table: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write a row a finding to a file.")
    ] = None,
    json: Json = False,
) -> None:
    """Look at all of a spec's data; tell everything that is wrong with it.

    Leakage between splits, identical images with different labels, bad files, targets that cannot be; counts, sizes
    and values. Exits with 2 where training would stop or be wrong.
    """
    from cnnlab.cli import data_tables, render
    from cnnlab.cli.looking import looking
    from cnnlab.data.check.findings import to_csv
    from cnnlab.data.check.inspect import inspect
    from cnnlab.files import write_atomically
    from cnnlab.spec.load import load

    experiment = load(spec, overrides or [])
    with looking():
        found = inspect(experiment.data, spec.parent, experiment.seed)
    if table is not None:
        write_atomically(table, to_csv(found.findings))
    for note in found.notes:
        render.note(note)
    if json:
        render.document(found.to_json())
    else:
        data_tables.inspection(found)
    if found.errors:
        raise typer.Exit(2)
