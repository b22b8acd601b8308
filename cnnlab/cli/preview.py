"""`cnnlab data preview`."""

from pathlib import Path
from typing import Annotated

import typer

from cnnlab.cli.arguments import Overrides, Spec


def preview(
    spec: Spec,
    overrides: Overrides = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="A .png or .svg.")] = Path("sheet.png"),
    examples: Annotated[int, typer.Option("--examples", min=1, max=64, help="Rows: that many of training.")] = 8,
    versions: Annotated[int, typer.Option("--versions", min=1, max=16, help="Columns: as in so many epochs.")] = 5,
) -> None:
    """Draw examples beside what training makes of them.

    Each row is an example as evaluation sees it, then as the first epochs do; labels, masks and boxes are drawn too.
    """
    from cnnlab.cli import render
    from cnnlab.cli.looking import looking
    from cnnlab.files import write_atomically
    from cnnlab.report.preview import previewed
    from cnnlab.report.sheet import sheet
    from cnnlab.report.style import picture_kind

    kind = picture_kind(output)
    with looking():
        found = previewed(spec, overrides or [], examples, versions)
    for note in found.notes:
        render.note(note)
    write_atomically(output, sheet(found, kind))
    render.text(f"{output}\n")
