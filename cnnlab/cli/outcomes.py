"""What a run comes to, printed: the tables of a split, by task."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from cnnlab.cli import render_costs
from cnnlab.cli.render import UNBOUNDED, console_for, show, table

if TYPE_CHECKING:
    from rich.console import Console

    from cnnlab.report.results import Outcome

MATRIX_UP_TO = 20  # classes; beyond, the most frequent confusions are listed
WORDS = {
    "matthews_correlation": "Matthews' coefficient",
    "cohens_kappa": "Cohen's kappa",
    "roc_auc": "ROC AUC",
    "mean_iou": "mean IoU",
    "mean_dice": "mean Dice",
    "f1": "F1",
    "r2": "R2",
}
ROWS = {
    "multi_label": ("per_label", ("precision", "recall", "f1"), "support"),
    "regression": ("per_target", ("rmse", "mae", "r2", "max_error"), None),
    "segmentation": ("per_class", ("iou", "dice"), "pixels"),
}


def shown_then_completed(found: "Outcome") -> None:
    """The tables first, for pictures take a second; they are drawn though a reader closes the pipe."""
    try:
        outcome(found)
        sys.stdout.flush()
    finally:
        found.complete()


def outcome(found: "Outcome") -> None:
    """The tables of a split, and where the rest is."""
    report, console = found.report, console_for(sys.stdout)
    console.print(Text(f"{report['split']}: {report['n']:,} examples, {found.which} step {found.step}{_chosen(found)}"))
    for i, (name, part) in enumerate(report.get("heads", {}).items()):
        blank = "\n" if i == 0 else ""  # a head's tables end with one
        console.print(Text(f"{blank}{name}: {part['task'].replace('_', ' ')}, weight {report['weights'][name]:g}"))
        _tables(part, console)
    if "heads" in report:
        console.print(Text(f"loss {_figure(report['loss'])}, the sum of the heads' by their weights\n"))
    else:
        _tables(report, console)
    folder = "eval/" + (report["split"] if found.which == "best" else f"{report['split']}-{found.which}")
    for i, line in enumerate(render_costs.lines(found.costs)):
        console.print(Text(f"{'cost' if i == 0 else '    '}  {line}"))
    console.print(Text(f"run   {found.run}"))
    console.print(Text(f"look  {found.run}/figures/curves.png"))
    for name in found.pictures:
        console.print(Text(f"      {found.run}/{folder}/{name}"))
    console.print(Text(f"more  cnnlab eval {found.run} --split train"))


def _tables(report: dict[str, Any], console: "Console") -> None:
    """The tables of one task."""
    from cnnlab.metrics.confusion import undefined_notes
    from cnnlab.metrics.majority import constant_guess

    task = report.get("task", "classification")
    sentences: list[str] = []
    classifies = "confusion_matrix" in report and "support" in report["per_class"][0]
    if classifies:
        show(console, table(("class", "precision", "recall", "f1", "support"), _class_rows(report), foot=3))
        if guess := constant_guess(report):
            sentences.append(f"accuracy misleads here: to say {guess[0]!r} always would reach {guess[1]:.4f}")
        sentences += undefined_notes(report)
    elif task in ROWS or task == "reconstruction":
        if task in ROWS:
            show(console, _rows(report, *ROWS[task]))
        elif report.get("per_class"):
            show(console, _errors(report))
        if report.get("undefined"):
            sentences.append(f"undefined and in no mean: {', '.join(report['undefined'])}")
    for sentence in sentences:
        console.print(Text(sentence))
    if report.get("intervals"):
        show(console, _figures(report), apart=bool(sentences))
    if classifies:
        show(console, _confusion(report), apart=False)


def _chosen(found: "Outcome") -> str:
    return f" (epoch {found.epoch} of {found.epochs}, by {found.chosen_by})" if found.which == "best" else ""


def _figures(report: dict[str, Any]) -> Table:
    """Each figure with its 95 % interval by the bootstrap."""
    rows = []
    for name, interval in report["intervals"].items():
        values = [_value(report, name), *(interval or (None, None))]
        if name == "expected_calibration_error":  # of float32 confidences: beyond six decimals is rounding
            values = [None if value is None else round(value, 6) for value in values]
        rows.append([_words(report, name), *map(_figure, values)])
    for k, value in report.get("top_k", {}).items():
        rows.insert(2, [f"top-{k} accuracy", _figure(value), "", ""])
    return table(("figure", "value", "95 % from", "to"), rows)


def _value(report: dict[str, Any], name: str) -> float | None:
    """A figure that has an interval: by its name, or the macro average of that name."""
    if name not in report:
        return report["macro"][name]  # type: ignore[no-any-return]
    value = report[name]
    return value["macro"] if isinstance(value, dict) else value


def _words(report: dict[str, Any], name: str) -> str:
    macro = "" if name in report and not isinstance(report[name], dict) else "macro "
    return macro + WORDS.get(name, name.replace("_", " "))


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    if 0 < abs(value) < 0.001:
        return f"{value:.3g}"
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.1f}"


def _rows(report: dict[str, Any], key: str, figures: Sequence[str], count: str | None) -> Table:
    rows = report[key]
    first = next(iter(rows[0]))
    cells = [
        [row[first], *(_figure(row[name]) for name in figures), *([f"{row[count]:,}"] if count else [])] for row in rows
    ]
    head = [name.replace("_", " ") for name in figures]
    return table((first, *head, *([count] if count else [])), cells)


def _errors(report: dict[str, Any]) -> Table:
    """Reconstructions by class, the anomalies marked."""
    marks = {None: [], True: ["normal"], False: ["anomaly"]}
    cells = [
        [row["class"], *marks[row.get("normal")], _figure(row["mse"]), _figure(row["psnr"]), f"{row['examples']:,}"]
        for row in report["per_class"]
    ]
    kind = ["kind"] if "normal" in report else []
    return table(("class", *kind, "mse", "psnr", "examples"), cells, left=1 + len(kind))


def _class_rows(report: dict[str, Any]) -> list[list[str]]:
    rows = [
        [row["class"], *(f"{row[name]:.4f}" for name in ("precision", "recall", "f1")), f"{row['support']:,}"]
        for row in report["per_class"]
    ]
    for average in ("macro", "micro", "weighted"):
        figures = [f"{report[average][name]:.4f}" for name in ("precision", "recall", "f1")]
        rows.append([f"{average} average", *figures, f"{report['n']:,}"])
    return rows


def _confusion(report: dict[str, Any]) -> Table:
    matrix, classes = report["confusion_matrix"], report["classes"]
    if len(classes) <= MATRIX_UP_TO:
        longest = 12 if sys.stdout.isatty() else UNBOUNDED
        short = [name if len(name) <= longest else name[: longest - 1] + "…" for name in classes]
        columns = [str(i) if max(map(len, classes)) > 4 else name for i, name in enumerate(classes)]
        numbered = [f"{column} {name}" if column != name else name for column, name in zip(columns, short, strict=True)]
        rows = [
            [name, *(str(count) if count else "." for count in row)] for name, row in zip(numbered, matrix, strict=True)
        ]
        return table(("true \\ predicted", *columns), rows)
    pairs = [
        (count, classes[i], classes[j])
        for i, row in enumerate(matrix)
        for j, count in enumerate(row)
        if i != j and count
    ]
    worst = sorted(pairs, key=lambda pair: -pair[0])[:MATRIX_UP_TO]
    rows = [[true, predicted, str(count)] for count, true, predicted in worst]
    return table(("most confused: true", "predicted", "examples"), rows, left=2)
