"""`cnnlab compress`."""

from pathlib import Path
from typing import Annotated

import typer

from cnnlab.cli.arguments import Json, RunPath
from cnnlab.errors import CnnlabError

RANKS = (0.75, 0.5, 0.25)  # tried where nothing is asked for


def compress(
    run: RunPath,
    rank: Annotated[
        list[float] | None,
        typer.Option("--rank", metavar="SHARE", help="Layers of low rank: a share of each one's rank. Repeatable."),
    ] = None,
    energy: Annotated[
        list[float] | None,
        typer.Option("--energy", metavar="SHARE", help="By the share of squared singular values kept. Repeatable."),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Weights in 8 bits; with the ranks, too.")] = False,
    split: Annotated[str, typer.Option("--split", help="train, validation or test.")] = "validation",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FOLDER", help="Write the last row as a run directory.")
    ] = None,
    table: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the table to a file.")] = None,
    json: Json = False,
) -> None:
    """Make a trained run smaller, and print what that saves and costs.

    --int8 stores weights in 8 bits with a scale for each output channel; --rank and --energy turn convolutions and
    dense layers into two with few channels between them, where that saves weights (not the head, nor convolutions in
    groups). Without any of them int8 and three ranks are tried. -o writes what was asked for, together: `eval`,
    `predict`, `summary` and `model.weights` take it.
    """
    ranks, energies = rank or [], energy or []
    for option, shares in (("--rank", ranks), ("--energy", energies)):
        for share in shares:
            if not 0 < share <= 1:
                raise CnnlabError(f"{option}: {share:g} is no share", hint="above 0, at most 1, such as 0.5")
    if output is not None and (len(ranks) + len(energies) > 1 or not (ranks or energies or int8)):
        hint = "such as --int8, --rank 0.5 or --rank 0.5 --int8"
        raise CnnlabError("-o writes one network: say which", hint=hint)
    from cnnlab.cli.process import prepare

    prepare()
    from cnnlab.cli import render, render_compression
    from cnnlab.runs.compressed import check_free, write
    from cnnlab.runs.compression import Choice, compare
    from cnnlab.runs.directory import open_run, unfinished
    from cnnlab.runs.evaluation import restore_run

    if not (ranks or energies or int8):
        ranks, int8 = list(RANKS), True
    low = [*(Choice(rank=share) for share in ranks), *(Choice(energy=share) for share in energies)]
    both = [Choice(choice.rank, choice.energy, int8=True) for choice in low] if int8 else []
    choices = [*([Choice(int8=True)] if int8 else []), *low, *both]
    directory = open_run(run)
    if output is not None:
        check_free(output)
    restored = restore_run(directory, "best")
    found = compare(restored, split, choices)
    for note in (*unfinished(directory), *restored.notes, *render_compression.notes(found)):
        render.note(note)
    if table is not None:
        render_compression.to_csv(found, table)
    written = None if output is None else write(found, restored, output)
    if json:
        render.document({**found.document(), "output": None if output is None else str(output)})
        return
    render_compression.comparison(found)
    if written is not None:
        render.text(f"{output}: {found.rows[-1].choice}, {written['file_bytes']:,} bytes in weights.safetensors\n")
