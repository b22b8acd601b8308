"""Arguments and options that several commands share."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from cnnlab.errors import SpecError

Spec = Annotated[Path, typer.Argument(metavar="SPEC", help="A spec file, such as experiments/digits/lenet5.yaml.")]
Target = Annotated[Path, typer.Argument(metavar="SPEC|RUN", help="A spec file or a run directory.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, such as runs/digits-lenet5.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Settings that replace the spec's: optimizer.learning_rate.peak=0.01"),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Checkpoint = Annotated[Literal["best", "last"], typer.Option("--checkpoint", help="Which stored step.")]
Input = Annotated[
    str | None, typer.Option("--input", metavar="SHAPE", help="The input's shape, such as 224,224,3; else the data's.")
]


def parse_shape(text: str | None) -> tuple[int, ...] | None:
    """`224,224,3` as numbers. Raises SpecError where it is none."""
    if text is None:
        return None
    parts = text.replace("x", ",").split(",")
    if not all(re.fullmatch(r"\s*[1-9][0-9]{0,8}\s*", part) for part in parts) or len(parts) > 4:
        hint = "such as 224,224,3: height, width, channels"
        raise SpecError(f"--input: '{text}' is no shape", hint=hint)
    return tuple(map(int, parts))


def parse_unit(text: str | None) -> tuple[int, ...] | None:
    """`3,4` as the place of a unit. Raises SpecError where it is none."""
    if text is None:
        return None
    parts = text.split(",")
    if not all(re.fullmatch(r"\s*[0-9]{1,9}\s*", part) for part in parts):
        raise SpecError(f"--unit: '{text}' is no place in a map", hint="such as 0,3: row and column, counted from 0")
    return tuple(map(int, parts))


def parse_numbers(text: str | None, option: str) -> tuple[float, ...] | None:
    """`0.485,0.456,0.406` as numbers. Raises SpecError where they are none."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise SpecError(f"{option}: '{text}' is no list of numbers", hint="such as 0.485,0.456,0.406") from None


def with_value(arguments: list[str], option: str, value: str) -> list[str]:
    """The arguments, in which an option may stand without its number: `value` is put behind it."""
    made = []
    for i, argument in enumerate(arguments):
        made.append(argument)
        if argument == option and not "".join(arguments[i + 1 : i + 2]).lstrip("-").isdigit():
            made.append(value)
    return made
