"""`cnnlab list`."""

from typing import Annotated

import typer

KINDS = ("models", "layers", "sources", "augmentations", "optimizers", "schedules", "losses", "metrics")


def list_names(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"One of {', '.join(KINDS)}.")],
    figures: Annotated[
        bool, typer.Option("--figures", help="Of models: parameters, multiply-adds, receptive fields, as Markdown.")
    ] = False,
) -> None:
    """List the names that a spec may use.

    Each with its settings and their defaults.
    """
    from cnnlab.cli import render
    from cnnlab.errors import SpecError, did_you_mean
    from cnnlab.spec.catalogue import catalogue

    if kind not in KINDS:
        hint = did_you_mean(kind, KINDS) or f"there are {', '.join(KINDS)}"
        raise SpecError(f"list: no kind '{kind}'", hint=hint)
    if not figures:
        render.names(catalogue(kind))
        return
    if kind != "models":
        raise SpecError(f"list {kind}: only models have --figures", hint="leave it out")
    from cnnlab.report.models import table

    for line in table():
        render.text(line)
