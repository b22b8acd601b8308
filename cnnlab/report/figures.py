"""The pictures of a run as PNG: the confusion matrix and the learning curves."""

import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnlab.errors import DataError
from cnnlab.report.labels import short
from cnnlab.report.style import INK, QUIET, TRAIN, VALIDATION, new_figure, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COUNTS_UP_TO = 20  # classes; beyond, a count is too small to read
LABELS_UP_TO = 100  # beyond, every second class or fewer has its name
EM = 0.62  # the width of a letter or digit in font sizes, rather too much than too little
SHARES = ("accuracy", "f1", "mean_iou", "dice")  # drawn in per cent
POINTS_UP_TO = 15  # epochs; beyond, a line alone


def confusion_matrix_png(report: dict[str, Any]) -> bytes:
    """The matrix of a `classification_report`: colour is the share of the row, numbers are counts.

    Counts stand in the cells up to 20 classes, every class has its label up to 100; a class without example
    is a grey row. The colour scale is a square root, so that one confusion in a hundred is still seen.
    """
    counts = np.array(report["confusion_matrix"])
    support = counts.sum(axis=1, keepdims=True)
    share = np.ma.masked_array(counts / np.maximum(support, 1), np.broadcast_to(support == 0, counts.shape))
    classes = len(counts)
    cell = min(1.5, max(4.6 / classes, 0.46 if classes <= COUNTS_UP_TO else 0.125), 12.5 / classes)  # inches
    zoom = max(1.0, classes * cell / 7) ** 0.7  # a large picture is looked at from farther away
    with new_figure() as figure:
        # The matrix alone fills the figure; saving it "tight" adds what stands around, however wide.
        figure.set_size_inches(classes * cell, classes * cell)
        axes = figure.add_axes((0, 0, 1, 1))
        _matrix_cells(figure, axes, share, zoom)
        if classes <= COUNTS_UP_TO:
            _cell_counts(axes, counts, share, cell)
        _class_labels(axes, report["classes"], cell)
        axes.set_xlabel("predicted", color=QUIET, size=9.5 * zoom, labelpad=8)
        axes.set_ylabel("true", color=QUIET, size=9.5 * zoom, labelpad=8)
        title = f"{report['split']}: accuracy {_percent(counts.trace() / counts.sum())}"
        axes.set_title(title, loc="left", size=13 * zoom, pad=13 + 13 * zoom, parse_math=False)
        note = f"confusion matrix, {counts.trace():,} of {counts.sum():,} right"
        axes.annotate(note, (0, 1), (0, 10), "axes fraction", "offset points", color=QUIET, size=10 * zoom)
        return png(figure, tight=True)


def curves_png(history: Sequence[dict[str, Any]], best_epoch: int | None, figure_name: str = "accuracy") -> bytes:
    """Loss and another figure over the epochs, train and validation, with learning rate and throughput below.

    `history` has a row per epoch with the keys of history.csv; a value may be missing, None or not finite
    and is then left out. `best_epoch` is marked. The loss is drawn in logarithms where it spans two decades.
    Raises DataError without rows.
    """
    if not history:
        raise DataError("no epoch is finished, so there is no curve to draw")
    with new_figure() as figure:
        figure.set_size_inches(9.4, 5.0)
        figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.06, wspace=0.03)
        (loss, other), (rate, speed) = figure.subplots(2, 2, sharex=True, height_ratios=[4, 1])
        _train_and_validation(loss, "loss", history, best_epoch, "{:.4g}".format)
        share = figure_name.rpartition("/")[2] in SHARES
        form = _percent if share else "{:.4g}".format
        _train_and_validation(other, figure_name, history, best_epoch, form)
        _small_curve(rate, "learning rate", history, "learning_rate")
        _small_curve(speed, "images per second", history, "images_per_second")
        if _spans_decades(history):
            loss.set_yscale("log", nonpositive="mask")
            loss.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        elif len(history) == 1:  # a scale made from one epoch's noise would show nothing else
            loss.set_ylim(0, 1.15 * loss.get_ylim()[1])
            if share:
                other.set_ylim(0, 1.02)
        if share:
            other.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
            bottom, top = other.get_ylim()
            other.set_ylim(bottom, min(top, 1 + 0.02 * (1 - bottom)))
        _epoch_axis(rate, [row["epoch"] for row in history])
        handles, labels = loss.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False, fontsize=10)
        return png(figure, tight=False)


def _matrix_cells(figure: "Figure", axes: "Axes", share: np.ma.MaskedArray, zoom: float) -> None:
    """The coloured cells, thin lines between them, and the scale of the colours at the right."""
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    blues = LinearSegmentedColormap.from_list("share", ["#ffffff", "#a9cbe8", "#3f83c0", "#123d73"])
    colours = blues.with_extremes(bad="#d5d8dc")
    norm = PowerNorm(0.5, 0, 1)
    image = axes.imshow(share, cmap=colours, norm=norm, aspect="auto", interpolation="nearest")
    axes.grid(False)
    if len(share) <= LABELS_UP_TO:
        between = np.arange(1, len(share)) - 0.5
        axes.set_xticks(between, minor=True)
        axes.set_yticks(between, minor=True)
        axes.grid(True, which="minor", color="#edf0f3", linewidth=0.9 if len(share) <= COUNTS_UP_TO else 0.4)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(True)
    inch = zoom / figure.get_figwidth()
    height = min(1.0, 4.6 * inch)
    bar_axes = figure.add_axes((1 + 0.2 * inch, 1 - height, 0.14 * inch, height))
    colour_bar = figure.colorbar(image, cax=bar_axes, ticks=[0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1])
    bar_axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    bar_axes.tick_params(labelsize=8.5 * zoom, length=2)
    bar_axes.grid(False)
    bar_axes.spines[:].set_visible(False)
    colour_bar.set_label("share of the true class", color=QUIET, fontsize=9 * zoom)


def _cell_counts(axes: "Axes", counts: np.ndarray, share: np.ma.MaskedArray, cell: float) -> None:
    digits = len(f"{counts.max():,}")
    size = min(11.5, 15 * cell + 2.5, 0.86 * cell * 72 / (EM * digits))
    centred: dict[str, Any] = {"ha": "center", "va": "center_baseline"}
    for row, column in np.argwhere(counts).tolist():
        colour = "white" if share[row, column] > 0.4 else INK
        axes.text(column, row, f"{counts[row, column]:,}", size=size, color=colour, **centred)
    for row in np.flatnonzero(counts.sum(axis=1) == 0).tolist():
        axes.text((len(counts) - 1) / 2, row, "no example", size=9, color=QUIET, **centred)


def _class_labels(axes: "Axes", classes: Sequence[str], cell: float) -> None:
    """Names along both axes: flat where they fit their cell, aslant for few classes, upright for many."""
    step = math.ceil(len(classes) / LABELS_UP_TO)
    places = range(0, len(classes), step)
    alike = Counter(map(short, set(classes)))  # names that are alike when shortened are told apart by number
    labels = [f"{i} {short(classes[i])}" if alike[short(classes[i])] > 1 else short(classes[i]) for i in places]
    size = min(10.0, max(5.8, 0.76 * cell * step * 72))
    if max(map(_ems, labels)) * size < 0.95 * cell * step * 72:
        turn: dict[str, Any] = {"rotation": 0}
    elif len(labels) <= COUNTS_UP_TO:
        turn = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    else:
        turn = {"rotation": 90}
    axes.set_xticks(places, labels, fontsize=size, parse_math=False, **turn)
    axes.set_yticks(places, labels, fontsize=size, parse_math=False)


def _ems(label: str) -> float:
    """The estimated width of `label` in font sizes."""
    return sum(1.0 if unicodedata.east_asian_width(letter) in "WF" else EM for letter in label)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _column(history: Sequence[dict[str, Any]], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs and values of `key`, without the epochs that have no finite value."""
    pairs = [(row["epoch"], row[key]) for row in history if row.get(key) is not None]
    epochs, values = np.array(pairs, np.float64).reshape(-1, 2).T
    finite = np.isfinite(values)
    return epochs[finite], values[finite]


def _spans_decades(history: Sequence[dict[str, Any]]) -> bool:
    losses = np.concatenate([_column(history, f"{split}/loss")[1] for split in ("train", "validation")])
    positive = losses[losses > 0]
    return positive.size > 0 and positive.max() >= 100 * positive.min()


def _train_and_validation(
    axes: "Axes",
    metric: str,
    history: Sequence[dict[str, Any]],
    best_epoch: int | None,
    number: Callable[[float], str],
) -> None:
    """One panel; `number` writes the validation figure of the best epoch above it."""
    train, validation = _column(history, f"train/{metric}"), _column(history, f"validation/{metric}")
    # Where points are drawn, train has rings, so that neither hides the other.
    ring = {"markersize": 8, "markerfacecolor": "white", "markeredgewidth": 1.6}
    axes.plot(*train, color=TRAIN, label="train", **_line(train[0].size), **ring)
    if validation[0].size:
        axes.plot(*validation, color=VALIDATION, label="validation", markersize=4.5, **_line(validation[0].size))
    axes.set_title(metric, loc="left", size=12, pad=8)
    axes.tick_params(length=0)
    if best_epoch is None:
        return
    axes.axvline(best_epoch, color=QUIET, linewidth=1.1, linestyle=(0, (4, 3)), label="best epoch", zorder=1.5)
    for value in validation[1][validation[0] == best_epoch]:
        axes.plot(best_epoch, value, "o", color=VALIDATION, markersize=7, markeredgecolor="white")
        axes.set_title(f"validation {number(value)} at epoch {best_epoch}", loc="right", size=10, color=QUIET)


def _line(epochs: int, width: float = 1.7) -> dict[str, Any]:
    return {"linewidth": width if epochs <= 100 else 1.2, "marker": "o" if epochs <= POINTS_UP_TO else None}


def _small_curve(axes: "Axes", title: str, history: Sequence[dict[str, Any]], key: str) -> None:
    """A low panel under the large ones: from 0 to the highest value, which alone is written."""
    epochs, values = _column(history, key)
    axes.plot(epochs, values, color=QUIET, markersize=4, **_line(epochs.size, 1.2))
    axes.set_title(title, loc="left", size=10, color=QUIET, pad=5)
    top = values.max(initial=0)
    ticks = {0: "0", top: f"{top:,.0f}" if top >= 100 else f"{top:.3g}"}
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.set_ylim(0, 1.15 * top or 1)
    axes.tick_params(length=0, labelsize=9)
    axes.set_xlabel("epoch")


def _epoch_axis(axes: "Axes", epochs: Sequence[float]) -> None:
    from matplotlib.ticker import MaxNLocator

    first, last = min(epochs), max(epochs)
    margin = max(0.3, 0.02 * (last - first))
    axes.set_xlim(first - margin, last + margin)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, steps=[1, 2, 5, 10]))
    if first == last:
        axes.set_xticks([first])
