"""`cnnlab schema`."""


def schema() -> None:
    """Print the JSON Schema of a spec, for editors."""
    from cnnlab.cli import render
    from cnnlab.spec.schema import Experiment

    document = Experiment.model_json_schema()
    render.document({"$schema": "https://json-schema.org/draft/2020-12/schema", **document})
