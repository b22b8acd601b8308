"""`cnnlab summary`."""

from cnnlab.cli.arguments import Input, Json, Overrides, Target, parse_shape


def summary(target: Target, overrides: Overrides = None, input_shape: Input = None, json: Json = False) -> None:
    """Print layers, parameters, FLOPs and memory."""
    from cnnlab.cli import render
    from cnnlab.runs.network import find_network

    network = find_network(target, overrides or [], parse_shape(input_shape))
    for note in network.notes:
        render.note(note)
    if json:
        rows = [{**vars(row), "output_shape": list(row.output_shape), "flops": row.flops} for row in network.costs()]
        render.document({**network.summary(), "layers": rows})
    else:
        render.layers(network)
