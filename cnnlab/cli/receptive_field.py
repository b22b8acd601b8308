"""`cnnlab receptive-field`."""

from pathlib import Path
from typing import Annotated

import typer

from cnnlab.cli.arguments import Input, Json, Overrides, Target, parse_shape, parse_unit


def receptive_field(
    target: Target,
    overrides: Overrides = None,
    input_shape: Input = None,
    unit: Annotated[
        str | None, typer.Option("--unit", metavar="Y,X", help="What this unit of each map sees, clipped to the image.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option("--layer", metavar="PATH", help="The layer whose map --unit counts in; else the last.")
    ] = None,
    ignore_global: Annotated[
        bool, typer.Option("--ignore-global", help="Leave out gates, normalisation over space and global pooling.")
    ] = False,
    depth: Annotated[int | None, typer.Option("--depth", min=1, help="Fold what lies deeper in the model.")] = None,
    table: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write a row a layer to a file.")] = None,
    json: Json = False,
) -> None:
    """Print the receptive field of every layer.

    Size, stride, padding and first centre, for every spatial axis; what borders, holes and skips do to it.
    """
    from cnnlab.cli import fields, render
    from cnnlab.errors import SpecError
    from cnnlab.runs.network import find_network

    place = parse_unit(unit)
    network = find_network(target, overrides or [], parse_shape(input_shape))
    for note in network.notes:
        render.note(note)
    report = network.fields(ignore_global=ignore_global)
    if report is None:
        message = f"the input is a vector of {network.traced.input_shape[0]}, without a spatial axis"
        raise SpecError(message, where=str(target), hint="receptive fields are of images, signals and volumes")
    if layer is not None:
        report.layer(layer)
    if place is not None:
        report.check_unit(place, layer)
    parameters = {row.path: row.parameters for row in reversed(network.costs())}
    if table is not None:
        fields.to_csv(report, parameters, place, table)
    if json:
        render.document(report.to_json(place))
    else:
        fields.fields(report, parameters, depth=depth, unit=place)
