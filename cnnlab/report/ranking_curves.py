"""Pictures of how well scores rank: ROC and precision-recall curves, a line for each class against the rest."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Shaped

from cnnlab.errors import DataError
from cnnlab.metrics.ranking import Curve, average_precision, precision_recall_curve, roc_auc, roc_curve
from cnnlab.report.labels import short
from cnnlab.report.style import LINE, QUIET, TRAIN, VALIDATION, new_figure, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Told apart by people who see colours differently (Okabe and Ito 2008), ours in front.
COLOURS = (TRAIN, VALIDATION, "#009e73", "#cc79a7", "#56b4e9", "#8c6d1f")
NAMED_UP_TO = 12  # curves; beyond, the lowest are named and the others stay grey
NAMED_OF_MANY = 6


def roc_png(
    truth: Bool[np.ndarray, "example name"],
    scores: Shaped[np.ndarray, "example name"],
    names: Sequence[str],
    split: str,
) -> bytes:
    """True over false positive rate for each name, with the area under it and the coin's diagonal.

    Names whose area is undefined are counted, not drawn. Raises DataError where that is all of them.
    """

    def frame(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1.1, linestyle=(0, (4, 3)), label="chance 0.5")
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("true positive rate")

    areas = [roc_auc(truth[:, k], scores[:, k]) for k in range(len(names))]
    curves = [roc_curve(truth[:, k], scores[:, k]) for k in range(len(names))]
    return _picture(f"{split}: ROC", "AUC", names, curves, areas, frame)


def precision_recall_png(
    truth: Bool[np.ndarray, "example name"],
    scores: Shaped[np.ndarray, "example name"],
    names: Sequence[str],
    split: str,
) -> bytes:
    """Precision over recall for each name, with its average precision; a step a threshold, nothing between them.

    Names without an example are counted, not drawn. Raises DataError where that is all of them.
    """

    def frame(axes: "Axes") -> None:
        axes.set_xlabel("recall")
        axes.set_ylabel("precision")

    def from_the_left(curve: Curve | None) -> Curve | None:
        if curve is None:
            return None
        start = np.zeros(1)
        return Curve(np.concatenate([start, curve.x]), np.concatenate([curve.y[:1], curve.y]), curve.thresholds)

    areas = [average_precision(truth[:, k], scores[:, k]) for k in range(len(names))]
    curves = [from_the_left(precision_recall_curve(truth[:, k], scores[:, k])) for k in range(len(names))]
    return _picture(f"{split}: precision and recall", "average precision", names, curves, areas, frame, steps=True)


def _picture(
    title: str,
    figure_name: str,
    names: Sequence[str],
    curves: Sequence[Curve | None],
    areas: Sequence[float | None],
    frame: Callable[["Axes"], None],
    *,
    steps: bool = False,
) -> bytes:
    drawn = [
        (name, curve, area)
        for name, curve, area in zip(names, curves, areas, strict=True)
        if curve and area is not None
    ]
    if not drawn:
        raise DataError(f"no class has a defined {figure_name}, so there is no curve to draw")
    drawn.sort(key=lambda entry: entry[2])
    few = len(drawn) <= NAMED_UP_TO
    named = drawn if few else drawn[:NAMED_OF_MANY]
    how: dict[str, Any] = {"drawstyle": "steps-pre"} if steps else {}
    with new_figure() as figure:
        # The square alone fills the figure; saving it "tight" adds what stands around, however wide.
        figure.set_size_inches(4.5, 4.5)
        axes = figure.add_axes((0, 0, 1, 1))
        for _, curve, _ in drawn[len(named) :]:
            axes.plot(curve.x, curve.y, color=LINE, linewidth=0.7, **how)
        for i, (name, curve, area) in list(enumerate(named))[::-1]:
            line = "-" if i < len(COLOURS) else (0, (5, 1.5))
            label = f"{short(name)}  {area:.4f}"
            axes.plot(
                curve.x, curve.y, color=COLOURS[i % len(COLOURS)], linewidth=1.6, linestyle=line, label=label, **how
            )
        frame(axes)
        _square(axes)
        handles, labels = axes.get_legend_handles_labels()
        ours = len(named)
        head = figure_name if few else f"{figure_name}, the lowest {ours} of {len(drawn)}"
        axes.legend(
            [*handles[:ours][::-1], *handles[ours:]],
            [*labels[:ours][::-1], *labels[ours:]],
            loc="upper left",
            bbox_to_anchor=(1.03, 1.015),
            borderaxespad=0,
            frameon=False,
            fontsize=9.5,
            title=head,
            title_fontsize=9.5,
            alignment="left",
        )
        mean = np.mean([area for *_, area in drawn])
        axes.set_title(title, loc="left", size=13, pad=22, parse_math=False)
        of_all = f" over {len(drawn)} of {len(names)} classes" if len(names) > 1 else ""
        note = f"{'mean ' if of_all else ''}{figure_name} {mean:.4f}{of_all}"
        axes.annotate(note, (0, 1), (0, 7), "axes fraction", "offset points", color=QUIET, size=10)
        return png(figure, tight=True)


def _square(axes: "Axes") -> None:
    axes.set_xlim(-0.015, 1.015)
    axes.set_ylim(-0.015, 1.015)
    axes.tick_params(length=0)
