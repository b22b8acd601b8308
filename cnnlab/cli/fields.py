"""The receptive fields of a network: rows for people, a file for programs."""

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from cnnlab.cli.render import console_for, nested, shaped, show, table, valued

if TYPE_CHECKING:
    from cnnlab.receptive_field.effective import Change, EffectiveField
    from cnnlab.receptive_field.report import Layer, Report

# Left out one after the other where a terminal is too narrow for all.
_DISPENSABLE = ("operation", "center", "padding", "parameters", "output", "window", "seen")
_AXES = {1: "x", 2: "yx", 3: "zyx"}

Row = dict[str, str]


def fields(
    report: "Report", parameters: dict[str, int], *, depth: int | None = None, unit: Sequence[int] | None = None
) -> None:
    """A row a layer (or a part of the model, down to `depth`), the model's line, and advice where there is some."""
    from cnnlab.receptive_field.advice import advice

    console = console_for(sys.stdout)
    rows = list(_rows(report, parameters, depth, unit))
    columns = [name for name in (rows[0] if rows else {}) if name == "flags" or any(row[name] for row in rows)]
    cells, left_out = _fitting(rows, columns, console.width if sys.stdout.isatty() else None)
    console.print(Text(f"receptive fields on {shaped(report.input_shape)}"))
    shown = [name for name in columns if name not in left_out]
    made = table(shown, cells, left=1 + ("operation" in shown) + ("window" in shown))
    made.columns[-1].justify = "left"  # the flags
    show(console, made)
    if left_out:
        console.print(Text(f"for a wider terminal: {', '.join(left_out)}"))
    console.print(Text(_model_line(report), style="bold"))
    for sentence in (*_more_lines(report), *advice(report)):
        console.print(Text(sentence))


def effective(found: "EffectiveField | Change") -> None:
    """How far the gradient spreads: of an initialisation, or before and after training."""
    from cnnlab.receptive_field.effective import Change

    both = isinstance(found, Change)
    stages = {"initially, ": found.initial, "trained, ": found.trained} if both else {"": found}
    first = next(iter(stages.values()))
    place = ",".join(map(str, first.unit))
    lines = [f"gradient of {first.path} at the unit {place}, over {first.inputs * first.models} random inputs:"]
    for stage, field in stages.items():
        sigma = _axes([round(value, 1) for value in field.gaussian.sigma])
        held = [field.holding(share) for share in (0.5, 0.95)]
        shares = (f"{one.share:.0%} in {one.pixels:,} pixels" for one in held)
        fit = field.gaussian.r_squared
        explained = "" if fit is None else f" (R² {fit:.2f})"
        lines.append(f"  {stage}sigma {sigma}{explained}, {', '.join(shares)}")
    for line in lines:
        console_for(sys.stdout).print(Text(line))


def to_csv(report: "Report", parameters: dict[str, int], unit: Sequence[int] | None, path: Path) -> None:
    """A row a layer, with a column for every figure along every axis; nothing where there is none."""
    from cnnlab.files import write_atomically

    axes = _AXES[len(report.input_shape) - 1]
    rows = [_csv_row(layer, parameters, axes, unit) for layer in report.layers]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())


def _rows(report: "Report", parameters: dict[str, int], depth: int | None, unit: Sequence[int] | None) -> Iterator[Row]:
    """The table's rows; layers that share the first `depth` parts of their path are one, with the last one's field."""
    left = dict(parameters)
    for path, group in groupby(report.layers, lambda layer: ".".join(layer.path.split(".")[:depth])):
        layers = list(group)
        last, count = layers[-1], sum(left.pop(layer.path, 0) for layer in layers)
        row = last.to_json(unit)
        yield {
            "layer": path,
            "operation": last.operation if len(layers) == 1 else f"{len(layers)} layers",
            "window": _window(last) if len(layers) == 1 else "",
            "output": shaped(last.output_shape),
            "parameters": f"{count:,}" if count else "",
            "size": _axes(row["size"]),
            "stride": _axes(row["stride"]),
            "padding": _axes(row["padding"]),
            "center": _axes(row["first_center"]),
            "seen": f"{last.seen:.0%}" if last.seen >= 0.01 or not last.seen else f"{last.seen:.2%}",
            "unit": "" if row.get("unit") is None else " x ".join(f"{a}-{b}" for a, b in row["unit"]),
            "flags": ", ".join(_flags(last) if len(layers) == 1 else _folded_flags(layers)),
        }


def _window(layer: "Layer") -> str:
    """`3x3/2 d4`: the kernel, the stride if it is not 1, the dilation likewise."""
    window = layer.window
    if window is None:
        return ""
    stride, dilation = (
        "" if set(values) == {1} else mark + _equal(values)
        for mark, values in (("/", window.stride), (" d", window.dilation))
    )
    return f"{shaped(window.kernel)}{stride}{dilation}"


def _flags(layer: "Layer") -> Iterator[str]:
    for flag in layer.flags:
        if flag == "misaligned":
            yield f"misaligned by {_equal([str(offset) for offset in layer.offset])}"
        elif flag == "gridding":
            yield f"gridding {layer.density:.0%}"
        else:
            yield flag


def _folded_flags(layers: Sequence["Layer"]) -> Iterator[str]:
    """The last one's, and how many layers of the row are unproductive."""
    yield from (flag for flag in _flags(layers[-1]) if flag != "unproductive")
    if count := sum("unproductive" in layer.flags for layer in layers):
        yield f"{count} unproductive"


def _equal(values: Sequence[Any]) -> str:
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))


def _fitting(rows: Sequence[Row], columns: Sequence[str], width: int | None) -> tuple[list[list[str]], list[str]]:
    """The cells of the columns that fit into `width`, and the names of those that do not."""
    left_out: list[str] = []
    while True:
        shown = [name for name in columns if name not in left_out]
        cells = nested([[row[name] for name in shown] for row in rows])
        widths = [max(len(name), *(len(row[i]) for row in cells)) for i, name in enumerate(shown)]
        more = [name for name in _DISPENSABLE if name in shown]
        if width is None or sum(widths) + 2 * len(widths) <= width or not more:
            return cells, left_out
        left_out.append(more[0])


def _model_line(report: "Report") -> str:
    model = report.model
    if model is None:
        return "no layer has a bounded field: each unit sees the whole input"
    row = model.to_json()
    figures = f"size {_axes(row['size'])}, stride {_axes(row['stride'])}, padding {_axes(row['padding'])}"
    return f"model: {figures}, at {model.path}"


def _more_lines(report: "Report") -> Iterator[str]:
    model = report.model
    if model is not None:
        row = model.to_json()
        ends = [f"{span[0]} to {span[1]}" for span in report.useful_inputs if span]
        yield f"narrowest path {_axes(row['narrowest'])}; useful inputs {' x '.join(dict.fromkeys(ends))} px"
        unused = [_ranges(name, spans) for name, spans in zip(("row", "column"), report.unused, strict=False) if spans]
        if unused and len(report.unused) == 2:
            yield f"no unit uses {' and '.join(unused)}"
        elif any(report.unused):
            named = zip(_AXES[len(report.unused)], report.unused, strict=True)
            yield f"no unit uses {' and '.join(_ranges('position', s) + f' along {n}' for n, s in named if s)}"
    treated = ", ".join(report.treated_as_global)
    yield "exact" if report.exact else f"not exact: {treated} counted as seeing the whole input"


def _ranges(name: str, spans: Sequence[tuple[int, int]]) -> str:
    shown = [str(a) if a == b else f"{a}-{b}" for a, b in spans]
    listed = ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")
    return f"{name}{'s' if len(shown) > 1 or '-' in shown[0] else ''} {listed}"


def _axes(values: Sequence[Any] | None) -> str:
    """One value per axis; one alone where all are equal."""
    if values is None:
        return "-"
    shown = [valued(value) for value in values]
    return shown[0] if len(set(shown)) == 1 else " x ".join(shown)


def _csv_row(layer: "Layer", parameters: dict[str, int], axes: str, unit: Sequence[int] | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "path": layer.path,
        "operation": layer.operation,
        "output_shape": shaped(layer.output_shape),
        "parameters": parameters.get(layer.path, 0),
        "seen": layer.seen,
        "density": layer.density,
        "flags": " ".join(layer.flags),
    }
    interval = None if unit is None else layer.interval(unit)
    for k, name in enumerate(axes):
        extent, window = layer.axes[k], layer.window
        here = window is not None and len(window.kernel) == len(axes)
        for key in ("kernel", "stride", "dilation"):
            row[f"window_{key}_{name}"] = getattr(window, key)[k] if here else None
        row |= {
            f"size_{name}": extent and extent.size[0],
            f"largest_size_{name}": extent and extent.size[1],
            f"stride_{name}": extent and str(extent.stride),
            f"padding_before_{name}": extent and extent.padding[0],
            f"padding_after_{name}": extent and extent.padding[1],
            f"first_center_{name}": extent and float(extent.first_center),
            f"narrowest_{name}": extent and extent.narrowest,
            f"offset_{name}": str(layer.offset[k]) if extent else None,
        }
        if unit is not None:
            row |= {f"unit_first_{name}": interval and interval[k][0], f"unit_last_{name}": interval and interval[k][1]}
    return row
