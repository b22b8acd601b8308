"""`cnnlab init`."""

from pathlib import Path
from typing import Annotated

import typer

TEMPLATE = """\
# yaml-language-server: $schema={schema}
# What this experiment shows.       Check it: cnnlab check {path}     Train it: cnnlab train {path}
name: {name}
seed: 0
data:
{data}
  batch_size: 64
  # split: {{train: 0.7, validation: 0.15, test: 0.15}}
  # augment:
  #   - shift: 2
model:
  layers:
    - conv: {{features: 32, kernel: 3}}
    - batch_norm
    - relu
    - max_pool: 2
    - conv: {{features: 64, kernel: 3}}
    - batch_norm
    - relu
    - flatten
    - dropout: 0.5
    - dense: classes
optimizer:
  name: adamw
  learning_rate: {{schedule: cosine, peak: 0.003, warmup_epochs: 1}}
train:
  epochs: 20
  early_stopping: {{metric: validation/loss, patience: 8}}
"""


def init(
    path: Annotated[Path, typer.Argument(metavar="SPEC", help="The file to write.")] = Path("experiment.yaml"),
    data: Annotated[
        Path | None, typer.Option("--data", help="A folder of images or an .npz file; else the digits.")
    ] = None,
) -> None:
    """Write a small spec to start from.

    Its JSON Schema comes beside it, for editors that complete and check keys.
    """
    import json

    from cnnlab.cli import render
    from cnnlab.errors import DataError, SpecError
    from cnnlab.files import write_atomically
    from cnnlab.spec.dump import quoted
    from cnnlab.spec.load import safe_name
    from cnnlab.spec.schema import Experiment

    if path.exists():
        raise SpecError("is there already", where=str(path), hint="choose another name")
    if data is not None and not data.exists():
        raise DataError("no such file or folder", where=str(data), hint="name a folder of images or an .npz file")
    lines = ["source: digits"]
    if data is not None:
        lines = [f"source: {'image_folder' if data.is_dir() else 'npz'}", f"path: {quoted(str(data.resolve()))}"]
        lines += ["resize: 64"] * data.is_dir()
    schema = path.with_name("cnnlab.schema.json")
    write_atomically(schema, json.dumps(Experiment.model_json_schema(), indent=1) + "\n")
    block = "\n".join(f"  {line}" for line in lines)
    text = TEMPLATE.format(schema=schema.name, path=path, name=quoted(safe_name(path.stem)), data=block)
    write_atomically(path, text)
    render.text(f"{path}\n")
