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
    inputs: Annotated[
        int | None,
        typer.Option("--effective", metavar="[N]", min=1, help="By the gradient too, over N random inputs (32)."),
    ] = None,
    objects: Annotated[
        bool, typer.Option("--against-data", help="Beside the objects in the data, by their boxes or masks.")
    ] = False,
    picture: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw a .png or .svg.")] = None,
    image: Annotated[Path | None, typer.Option("--image", metavar="FILE", help="What --plot draws on.")] = None,
    json: Json = False,
) -> None:
    """Print the receptive field of every layer.

    Size, stride, padding and first centre, for every spatial axis; what borders, holes and skips do to it.
    --effective adds how much of the gradient lies where: of a spec over random initialisations, of a run before and
    after training.
    """
    from cnnlab.cli import fields, render
    from cnnlab.errors import SpecError
    from cnnlab.files import write_atomically
    from cnnlab.report.style import picture_kind
    from cnnlab.runs.network import find_network

    place, kind = parse_unit(unit), None if picture is None else picture_kind(picture)
    if image is not None and picture is None:
        raise SpecError(f"--image {image} is for a picture", hint="name its file: --plot fields.png")
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
    found, notes = None, ()
    if inputs is not None:
        from cnnlab.runs.effective import effective_of

        found, notes = effective_of(target, network, layer or (report.model and report.model.path), place, inputs)
    for note in notes:
        render.note(note)
    compared = None
    if objects:
        from cnnlab.runs.objects import against_data

        compared = against_data(target, network, report)
    if picture is not None and kind is not None:
        from cnnlab.report.field_plot import plot
        from cnnlab.runs.network import example

        seen = example(network, image)
        name = network.experiment.name or target.stem
        drawn = plot(report, kind, name=name, path=layer, unit=place, image=seen, effective=found)
        write_atomically(picture, drawn)
    if json:
        more = {} if found is None else {"effective": found.to_json()}
        more |= {} if compared is None else {"objects": compared.to_json()}
        render.document(report.to_json(place) | more)
    else:
        fields.fields(report, parameters, depth=depth, unit=place)
        if compared is not None:
            render.text(f"{compared.sentence}\n")
        if found is not None:
            fields.effective(found)
