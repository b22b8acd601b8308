"""`cnnlab import-weights` and `cnnlab export-weights`."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cnnlab.cli.arguments import Checkpoint, Input, Json, Overrides, RunPath, parse_numbers, parse_shape


def import_weights(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A state dict: .safetensors, or .pth (needs PyTorch).")],
    model: Annotated[str, typer.Option("--model", help="An architecture, such as resnet50, or a spec file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .safetensors file to write.")],
    overrides: Overrides = None,
    input_shape: Input = None,
    classes: Annotated[Path | None, typer.Option("--classes", help="Names of the classes, one a line.")] = None,
    mean: Annotated[str | None, typer.Option("--mean", metavar="R,G,B", help="Of pixels from 0 to 1.")] = None,
    std: Annotated[str | None, typer.Option("--std", metavar="R,G,B", help="Of pixels from 0 to 1.")] = None,
    size: Annotated[int | None, typer.Option("--size", min=1, help="Pixels a side of the crop that is fed in.")] = None,
    resize: Annotated[
        int | None, typer.Option("--resize", min=1, help="Pixels of the shorter side before the crop.")
    ] = None,
    interpolation: Annotated[
        Literal["bilinear", "bicubic"] | None, typer.Option("--interpolation", help="How images are resized.")
    ] = None,
    json: Json = False,
) -> None:
    """Convert weights of torchvision, timm or PyTorch.

    Every tensor that is missing, unexpected or misshapen is listed, and then nothing is written. The preprocessing
    goes with the weights: torchvision's for its networks, or what the options say.
    """
    from cnnlab.cli import render
    from cnnlab.errors import DataError
    from cnnlab.runs.weights import import_weights as convert

    given: dict[str, Any] = {"mean": parse_numbers(mean, "--mean"), "std": parse_numbers(std, "--std")}
    given |= {"size": size and (size, size), "resize": resize or size, "interpolation": interpolation}
    names = None
    if classes is not None:
        try:
            names = tuple(classes.read_text(encoding="utf-8").split("\n"))
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"cannot be read: {error}", where=str(classes), hint="one name a line, in UTF-8") from None
        names = tuple(name.strip() for name in names if name.strip())
    preprocessing = {key: value for key, value in given.items() if value is not None}
    found = convert(file, model, overrides or [], parse_shape(input_shape), preprocessing, names, output)
    if json:
        render.document(found)
    else:
        counts = f"{found['tensors']:,} tensors, {found['parameters']:,} parameters, {found['classes']:,} classes"
        render.text(f"{found['weights']}: {found['model']}, {counts}\n")


def export_weights(
    run: RunPath,
    output: Annotated[Path, typer.Option("-o", "--output", help="The .safetensors file to write.")],
    checkpoint: Checkpoint = "best",
    json: Json = False,
) -> None:
    """Write a run's weights under PyTorch's names.

    `model.load_state_dict(safetensors.torch.load_file(...))` takes them; so does `model.weights` in a spec.
    """
    from cnnlab.cli import render
    from cnnlab.runs.weights import export_weights as convert

    found = convert(run, checkpoint, output)
    if json:
        render.document(found)
    else:
        render.text(f"{found['weights']}: {found['tensors']:,} tensors under the names of {found['names']}\n")
