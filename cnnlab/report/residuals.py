"""Pictures of predicted numbers: predicted against true, and how the residuals are spread, a row a target."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Shaped

from cnnlab.errors import DataError
from cnnlab.metrics.regression import regression_report
from cnnlab.report.labels import short
from cnnlab.report.style import INK, QUIET, TRAIN, VALIDATION, new_figure, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROWS_UP_TO = 6  # targets; the worst by R2 are drawn
POINTS_UP_TO = 5000  # a cloud of more says nothing more


def residuals_png(
    truth: Shaped[np.ndarray, "example target"],
    predicted: Shaped[np.ndarray, "example target"],
    names: Sequence[str],
    split: str,
) -> bytes:
    """For each target a cloud of predicted over true values with the diagonal, and the histogram of predicted - true.

    Of more than 6 targets those of the lowest R2, of more than 5,000 examples every so many. Raises DataError without
    examples.
    """
    rows = regression_report(truth, predicted, names)["per_target"]
    if not np.isfinite(predicted).all():
        raise DataError("a prediction is not finite, so its residual cannot be drawn")
    worst = sorted(range(len(names)), key=lambda k: -np.inf if rows[k]["r2"] is None else rows[k]["r2"])[:ROWS_UP_TO]
    shown = sorted(worst)
    with new_figure() as figure:
        figure.set_size_inches(8.6, 0.8 + 3.4 * len(shown))
        figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1, wspace=0.05)
        panels = figure.subplots(len(shown), 2, squeeze=False)
        for (cloud, spread), k in zip(panels, shown, strict=True):
            y, z = truth[:, k].astype(np.float64), predicted[:, k].astype(np.float64)
            _cloud(cloud, y, z)
            _histogram(spread, z - y)
            row = rows[k]
            r2 = "undefined" if row["r2"] is None else f"{row['r2']:.4f}"
            cloud.set_title(short(names[k]), loc="left", size=12, pad=8, parse_math=False)
            cloud.set_title(f"R2 {r2}", loc="right", size=10, color=QUIET)
            spread.set_title("residuals", loc="left", size=12, pad=8)
            spread.set_title(f"RMSE {row['rmse']:.4g}, MAE {row['mae']:.4g}", loc="right", size=10, color=QUIET)
        some = "" if len(shown) == len(names) else f", the {len(shown)} of {len(names)} targets of the lowest R2"
        title = f"{split}: {len(truth):,} examples{some}"
        figure.suptitle(title, x=0.012, ha="left", size=13, parse_math=False)
        return png(figure, tight=False)


def _cloud(axes: "Axes", truth: np.ndarray, predicted: np.ndarray) -> None:
    every = -(-len(truth) // POINTS_UP_TO)
    size = 14 if len(truth) <= 500 else 6
    axes.scatter(
        truth[::every], predicted[::every], s=size, color=TRAIN, alpha=0.5 if len(truth) <= 500 else 0.3, linewidths=0
    )
    low, high = min(truth.min(), predicted.min()), max(truth.max(), predicted.max())
    margin = 0.04 * (high - low) or 1.0
    ends = (low - margin, high + margin)
    axes.plot(ends, ends, color=INK, linewidth=1.1, linestyle=(0, (4, 3)), zorder=3)
    axes.set_xlim(ends)
    axes.set_ylim(ends)
    axes.set_xlabel("true")
    axes.set_ylabel("predicted")
    axes.tick_params(length=0)


def _histogram(axes: "Axes", residuals: np.ndarray) -> None:
    bins = int(np.clip(2 * len(residuals) ** (1 / 3), 5, 60))  # Rice's rule
    axes.hist(residuals, bins=bins, color=TRAIN, edgecolor="white", linewidth=0.6)
    axes.axvline(0, color=INK, linewidth=1.1, linestyle=(0, (4, 3)))
    axes.axvline(residuals.mean(), color=VALIDATION, linewidth=1.6, label=f"mean {residuals.mean():.3g}")
    axes.legend(loc="upper right", frameon=False, fontsize=9.5)
    axes.set_xlabel("predicted - true")
    axes.set_ylabel("examples")
    axes.tick_params(length=0)
