"""`cnnlab receptive-field`."""

from cnnlab.cli.arguments import Input, Json, Overrides, Target, parse_shape


def receptive_field(target: Target, overrides: Overrides = None, input_shape: Input = None, json: Json = False) -> None:
    """Print the receptive field of every layer.

    Size, stride, padding and first centre, for every spatial axis.
    """
    from cnnlab.cli import render
    from cnnlab.errors import SpecError
    from cnnlab.runs.network import find_network

    network = find_network(target, overrides or [], parse_shape(input_shape))
    for note in network.notes:
        render.note(note)
    report = network.fields()
    if report is None:
        message = f"the input is a vector of {network.traced.input_shape[0]}, without a spatial axis"
        raise SpecError(message, where=str(target), hint="receptive fields are of images, signals and volumes")
    if json:
        render.document(report.to_json())
    else:
        render.fields(report)
