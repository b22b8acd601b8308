"""The only place that prints results: tables for people, JSON for programs.

stdout is the result, stderr everything else. Where stdout is no terminal nothing is cut, folded or coloured.
"""

import json
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnlab.errors import printable

if TYPE_CHECKING:
    from pathlib import Path

    from cnnlab.report.plan import Plan
    from cnnlab.runs.network import Network
    from cnnlab.train.freeze import Trainable

UNBOUNDED = 100_000


def console_for(file: Any) -> Console:
    width = None if file.isatty() else UNBOUNDED
    return Console(file=file, width=width, markup=False, highlight=False, emoji=False, soft_wrap=not file.isatty())


def stderr() -> Console:
    """The console of progress and warnings."""
    return console_for(sys.stderr)


def document(content: Any) -> None:
    """One JSON document on stdout."""
    text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def text(content: str) -> None:
    """Text as it is on stdout."""
    sys.stdout.write(content)
    sys.stdout.flush()


def note(sentence: str) -> None:
    """A warning on stderr."""
    stderr().print(Text(f"note: {printable(sentence)}"))


def show(console: Console, table: Table, *, apart: bool = True) -> None:
    """Print a table without the blanks at the ends of its lines; `apart`: with an empty line before it."""
    with console.capture() as capture:
        console.print(table)
    lines = [line.rstrip() for line in capture.get().split("\n")]
    console.file.write("\n".join([*[""] * apart, *lines[1:]]).rstrip("\n") + "\n\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1, foot: int = 0) -> Table:
    """A table whose first `left` columns are text and the others numbers; a line sets off the last `foot` rows."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for i, column in enumerate(columns):
        made.add_column(Text(column), justify="left" if i < left else "right", overflow="fold")
    for i, row in enumerate(rows, start=1):
        made.add_row(*(Text(cell) for cell in row), end_section=i == len(rows) - foot)
    return made


def names(entries: Sequence[tuple[str, str]]) -> None:
    """Names and what they take."""
    width = max(len(name) for name, _ in entries)
    text("".join(f"{name:<{width}}  {settings}".rstrip() + "\n" for name, settings in entries))


def machine(found: dict[str, Any]) -> None:
    """What `cnnlab doctor` has found: a line each."""
    device, kernels = found["device"], found["kernels"]
    used = "in use" if kernels["in_use"] else "not in use"
    lines = [("cnnlab", found["cnnlab"]), ("python", found["python"]), ("platform", found["platform"])]
    lines += [("device", f"{device['count']} {device['platform']} ({device['kind']})")]
    lines += [("kernels", f"{used}: {kernels['why']}"), ("images", found["images"])]
    names([*lines, *((name, version or "not installed") for name, version in found["packages"].items())])


# ---------------------------------------------------------------- networks


def nested(rows: list[list[str]]) -> list[list[str]]:
    """Rows whose first cell is a path, for a terminal: every part of a path once, its layers indented below it."""
    if not sys.stdout.isatty():
        return rows  # for grep: whole paths
    result: list[list[str]] = []
    open_parts: list[str] = []
    for path, *cells in rows:
        *parents, name = path.split(".")
        shared = 0
        while shared < min(len(parents), len(open_parts)) and parents[shared] == open_parts[shared]:
            shared += 1
        for depth in range(shared, len(parents)):
            result.append(["  " * depth + parents[depth], *("" for _ in cells)])
        result.append(["  " * len(parents) + name, *cells])
        open_parts = parents
    return result


def layers(network: "Network") -> None:
    """A row a layer, and the sums; FLOPs count a multiplication and its addition as two."""
    from cnnlab.trace.cost import totals

    console, costs = console_for(sys.stdout), network.costs()
    total = totals(costs)
    rows = [
        [
            row.path,
            row.operation,
            shaped(row.output_shape),
            f"{row.parameters:,}",
            f"{row.flops:,}",
            _bytes(row.activation_bytes),
        ]
        for row in costs
    ]
    rows = nested(rows)
    rows.append(["total", "", "", f"{total.parameters:,}", f"{total.flops:,}", _bytes(total.activation_bytes)])
    shape = shaped(network.traced.input_shape)
    console.print(Text(f"{network.experiment.name} on {shape}, one example; FLOPs are multiply-adds counted twice"))
    show(console, table(("layer", "operation", "output", "parameters", "FLOPs", "memory"), rows, left=2, foot=1))


def plan(found: "Plan") -> None:
    """What training would do."""
    layers(found.network)
    console, experiment = console_for(sys.stdout), found.network.experiment
    fields = found.network.summary()["receptive_field"]
    if fields is not None:
        console.print(Text(f"receptive field {shaped(fields['size'])}, stride {shaped(fields['stride'])}"))
    _trainable(console, found.network.training)
    if found.counts is None:
        console.print(Text("no data: nothing to train on"))
        return
    counts = ", ".join(f"{count:,} {name}" for name, count in found.counts.items())
    console.print(Text(f"data            {counts} ({experiment.data.source})"))
    size, epochs = experiment.data.batch_size, experiment.train.epochs
    console.print(Text(f"batches         {found.steps_per_epoch:,} of {size} an epoch"))
    updates = f" of {experiment.optimizer.accumulate} to an update" if experiment.optimizer.accumulate > 1 else ""
    console.print(Text(f"training        {epochs} epochs, {found.steps:,} steps{updates}, {experiment.optimizer.name}"))
    if (distill := experiment.distill) is not None and found.lesson is not None:
        softened = f"temperature {distill.temperature:g}, " if found.lesson.softened else ""
        heads = [name for name in found.lesson.teacher.pairs if name]
        of_heads = f" of {', '.join(heads)}" if heads else ""
        says = f"{found.lesson.parameters:,} parameters, {softened}weight {distill.weight:g}{of_heads}"
        console.print(Text(f"teacher         {says}: {distill.teacher}"))


def _trainable(console: Console, training: "Trainable") -> None:
    """Which parameters train and which do not, where a spec freezes any."""
    if not training.frozen:
        return
    frozen = ", ".join(f"{pattern} {count:,}" for pattern, count in training.frozen.items())
    console.print(Text(f"trained         {training.trained:,} parameters"))
    console.print(Text(f"frozen          {sum(training.frozen.values()):,} parameters: {frozen}"))
    if training.unfreeze_at_epoch is not None:
        console.print(Text(f"                until epoch {training.unfreeze_at_epoch}, counted from 0; then all train"))


def bench(found: dict[str, Any]) -> None:
    """What `cnnlab bench` has measured: rates over the rounds, and a line for each other cost."""
    device, training, evaluation, peak = (found[key] for key in ("device", "training", "evaluation", "peak"))
    where = f"{found['name']} on {device['count']} {device['platform']} ({device['kind']})"
    batches = f"batches of {found['batch_size']:,}, {shaped(found['input_shape'])}, {found['precision']}"
    rows = [
        [f"{name}, {unit}", *(_figure(found[name][key][value]) for value in ("median", "min", "max"))]
        for name in ("training", "evaluation")
        for unit, key in (("images/s", "images_per_second"), ("ms a step", "milliseconds_per_step"))
    ]
    console = console_for(sys.stdout)
    console.print(Text(f"{where}: {batches}"))
    show(console, table((f"{found['rounds']} rounds", "median", "min", "max"), rows))
    seconds, kernels = found["compile_seconds"], found["kernels"]
    cached = "; JAX's compilation cache is on" if found["compilation_cache"] else ""
    memory = {key: "-" if count is None else _bytes(count) for key, count in found["memory"].items()}
    step = ", ".join(f"{part} {memory[f'step_{part}']}" for part in ("arguments", "temporary", "results"))
    most = [f"{name} {memory[f'{name}_peak']}" for name in ("process", "device") if found["memory"][f"{name}_peak"]]
    load = "-" if found["load_before"] is None else f"{found['load_before']:.1f}"
    lines = [
        ("compile", f"step {seconds['training_step']:.2f} s, evaluation {seconds['evaluation']:.2f} s{cached}"),
        ("data", f"{training['data_share']:.1%} of training's time, {evaluation['data_share']:.1%} of evaluation's"),
        ("memory", f"step {memory['step']}: {step}"),
        ("", f"at most: {', '.join(most) or '-'}"),
        ("arithmetic", _arithmetic("training", training)),
        ("", _arithmetic("evaluation", evaluation)),
        ("peak", f"{_scaled(peak['multiply_adds_per_second'])}/s in a product of {peak['side']}x{peak['side']}"),
        ("kernels", f"{'in use' if kernels['in_use'] else 'not in use'}: {kernels['why']}"),
        ("load", f"{load} before this, on {found['processors']} processors"),
    ]
    names(lines)


def range_test(found: dict[str, Any], key: str, picture: "Path | None") -> None:
    """What `cnnlab lr-find` has found; `key` is where the rate stands in the spec."""
    rates, least, asked = found["rates"], found["least"], found["asked"]
    lines = [("test", f"{len(rates)} updates at rates from {rates[0]:.2g} to {rates[-1]:.2g}")]
    if len(rates) < asked["steps"]:
        lines[0] = ("test", f"{lines[0][1]}, of {asked['steps']}: there the loss was hopeless")
    lines += [("least loss", f"{least['loss']:.4f} at {least['rate']:.2g}")]
    if found["suggestion"] is None:
        lines += [("falls", "nowhere: no rate of these suggests itself")]
    else:
        lines += [("falls", f"fastest at {found['suggestion']:.2g}"), ("try", f"{key}={found['suggestion']:.2g}")]
    names([*lines, ("look", str(picture) if picture is not None else "-o picture.png draws it")])


def _arithmetic(name: str, timed: dict[str, Any]) -> str:
    image, second = (_scaled(timed[f"multiply_adds_per_{unit}"]) for unit in ("image", "second"))
    return f"{name} {image} multiply-adds an image, {second}/s, {timed['share_of_peak']:.1%} of peak"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.95 else f"{value:#.3g}"


def valued(value: Any) -> str:
    """A number; two, smallest and largest, where units alternate; `-` for None."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return valued(value[0]) if len(set(value)) == 1 else "/".join(map(valued, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def shaped(shape: Sequence[Any]) -> str:
    return "x".join(map(valued, shape))


def _bytes(count: int) -> str:
    """`37.5 kB`: three digits, powers of 1000."""
    return _scaled(count, ("B", "kB", "MB", "GB", "TB"))


def _scaled(count: float, units: Sequence[str] = ("", "k", "M", "G", "T")) -> str:
    """`37.5 M`: three digits, powers of 1000."""
    count = float(f"{count:.3g}")
    power = min(int(math.log10(count)) // 3, len(units) - 1) if count >= 1 else 0
    return f"{count / 1000**power:.3g} {units[power]}".rstrip()
