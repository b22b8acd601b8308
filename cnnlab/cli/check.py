"""`cnnlab check`."""

from cnnlab.cli.arguments import Input, Json, Overrides, Spec, parse_shape


def check(spec: Spec, overrides: Overrides = None, input_shape: Input = None, json: Json = False) -> None:
    """Validate a spec; print what training would do.

    Reads the data, builds the network and traces it from shapes alone; nothing is compiled or written.
    """
    from cnnlab.cli import data_tables, render
    from cnnlab.cli.looking import looking
    from cnnlab.report.plan import plan

    with looking():
        found = plan(spec, overrides or [], parse_shape(input_shape))
    for note in (*found.network.notes, *(found.lesson.notes if found.lesson else ())):
        render.note(note)
    if json:
        render.document(found.document())
    else:
        render.plan(found)
        if found.network.prepared is not None:
            data_tables.boxes(found.network.prepared.dataset, found.network.prepared.splits)
