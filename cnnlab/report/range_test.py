"""The picture of a learning-rate range test."""

from cnnlab.optim.range_test import RangeTest
from cnnlab.report.style import FAINT_LINE, INK, QUIET, TRAIN, VALIDATION, Kind, new_figure, rendered


def range_test_picture(found: RangeTest, kind: Kind, *, name: str) -> bytes:
    """Loss over learning rate, batch by batch and smoothed; the suggestion and the least loss are marked."""
    with new_figure() as figure:
        figure.set_size_inches(7.6, 4.4)
        figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.08)
        axes = figure.subplots()
        axes.plot(found.rates, found.losses, ".", color=TRAIN, alpha=0.35, markersize=5, label="of each update")
        axes.plot(found.rates, found.smoothed, color=TRAIN, linewidth=1.8, label="smoothed")
        axes.set_xscale("log")
        least = found.least
        axes.plot(found.rates[least], found.smoothed[least], "o", color=INK, markersize=5, label="least")
        if found.suggestion is not None:
            label = f"falls fastest: {found.suggestion:.2g}"
            axes.axvline(found.suggestion, color=VALIDATION, linewidth=1.4, linestyle=(0, (4, 3)), label=label)
        low, high = found.smoothed.min(), found.smoothed.max()
        margin = 0.12 * max(high - low, 1e-3 * abs(high), 1e-9)
        inside = found.losses[found.losses <= high + margin]
        axes.set_ylim(min(low, inside.min(initial=low)) - margin, high + margin)
        axes.grid(visible=True, which="minor", color=FAINT_LINE, linewidth=0.4)
        axes.tick_params(which="both", length=0)
        axes.set_xlabel("learning rate", color=QUIET)
        axes.set_ylabel("training loss", color=QUIET)
        axes.set_title(f"{name}: learning-rate range test", loc="left", size=12, pad=8, parse_math=False)
        axes.legend(frameon=False, fontsize=9.5)
        return rendered(figure, kind, tight=False)
