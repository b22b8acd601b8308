"""The reliability diagram: how often predictions of each confidence are right, and how many there are of them."""

import numpy as np

from cnnlab.metrics.calibration import Reliability
from cnnlab.report.style import LINE, QUIET, TRAIN, VALIDATION, new_figure, png


def reliability_png(found: Reliability, split: str) -> bytes:
    """A bar a bin, as high as its accuracy, with the gap to its mean confidence; below, the share of examples.

    Bars under the diagonal are too sure of themselves, above it not sure enough. Bins without examples are empty.
    """
    there = np.flatnonzero(found.counts)
    width = found.edges[1] - found.edges[0]
    left, centre = found.edges[there], found.edges[there] + width / 2
    accuracy, confidence = found.accuracy[there], found.confidence[there]
    with new_figure() as figure:
        figure.set_size_inches(5.2, 6.4)
        figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.08)
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        axes.bar(left, accuracy, width, align="edge", color=TRAIN, edgecolor="white", linewidth=0.8, label="accuracy")
        low, high = np.minimum(accuracy, confidence), np.maximum(accuracy, confidence)
        axes.bar(
            centre, high - low, 0.36 * width, low, color=VALIDATION, alpha=0.85, label="gap to the mean confidence"
        )
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1.1, linestyle=(0, (4, 3)), label="calibrated")
        axes.set_ylabel("accuracy")
        axes.set_ylim(0, 1.005)
        axes.set_xlim(0, 1)
        axes.legend(loc="upper left", frameon=False, fontsize=9.5)
        axes.set_title(f"{split}: reliability", loc="left", size=13, pad=22, parse_math=False)
        note = f"expected calibration error {found.error:.4f} over {found.counts.sum():,} examples"
        axes.annotate(note, (0, 1), (0, 7), "axes fraction", "offset points", color=QUIET, size=10)
        share = found.counts[there] / found.counts.sum()
        below.bar(left, share, width, align="edge", color=LINE, edgecolor="white", linewidth=0.8)
        below.set_xlabel("confidence")
        below.set_ylabel("examples")
        below.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
        for panel in (axes, below):
            panel.tick_params(length=0)
        below.tick_params(axis="x", pad=6)
        return png(figure, tight=False)
