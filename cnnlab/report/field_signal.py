"""Receptive fields along one axis: a signal, and under it a bar for each layer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnlab.report.field_boxes import (
    CANVAS,
    DASHED,
    GAP,
    Box,
    Span,
    colours,
    frame,
    headline,
    is_beyond,
    is_part,
    parts,
    shortened,
    view,
)
from cnnlab.report.field_heat import smoothed
from cnnlab.report.style import LINE, QUIET, TRAIN, Kind, new_figure, rendered

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cnnlab.receptive_field.effective import EffectiveField

_WIDTH = 8.0
_BAR = 0.3  # inches
_NEAR = 0.12


def signal_picture(
    boxes: Sequence[Box],
    length: int,
    kind: Kind,
    *,
    title: str,
    signal: np.ndarray | None = None,
    effective: "EffectiveField | None" = None,
) -> bytes:
    """Above the signal [length] or [length, channel], or the gradient's shares, or both; below the boxes as bars, from
    the innermost to the outermost, solid inside the signal and dashed beyond it. Far longer than the boxes, the signal
    is shown whole above, and around them below."""
    shown = view(boxes, (length,))
    part, (window,) = is_part(shown, (length,)), shown
    whole = (1.1 if signal is not None else 0.35) if part or signal is not None else 0
    heights = [h for h in (whole, 1.3 if effective is not None else 0, _BAR * len(boxes) + 0.15) if h]
    with new_figure() as figure:
        drawn = _rows(figure, heights, [GAP if whole else _NEAR, _NEAR])
        if whole:
            _whole(drawn[0], length, signal, window, part=part)
        if effective is not None:
            _shares(drawn[-2], effective, window)
        _bars(drawn[-1], boxes, length, window)
        for axes in drawn:
            frame(axes)
            axes.xaxis.set_major_formatter("{x:,.0f}")
        note = f"input of {length:,} positions" + (", below around the boxes alone" if part else "")
        if is_beyond(boxes, (length,)):
            note += "; dashed: beyond its border"
        headline(drawn[0], title, note)
        return rendered(figure, kind, tight=True)


def _rows(figure: "Figure", heights: Sequence[float], gaps: Sequence[float]) -> list["Axes"]:
    """Axes below each other, of these heights and with these gaps between them, in inches."""
    total = sum(heights) + sum(gaps[: len(heights) - 1])
    figure.set_size_inches(_WIDTH, total)
    drawn, top = [], total
    for height, gap in zip(heights, [*gaps, 0.0], strict=False):
        drawn.append(figure.add_axes((0, (top - height) / total, 1, height / total)))
        top -= height + gap
    return drawn


def _whole(axes: "Axes", length: int, signal: np.ndarray | None, window: Span, *, part: bool) -> None:
    """The signal, a line for each channel, and the window that is shown below where that is a part of it."""
    axes.axvspan(-0.5, length - 0.5, color=CANVAS, linewidth=0, zorder=0)
    if signal is not None:
        axes.plot(np.arange(length), signal.reshape(length, -1), linewidth=0.8, color=QUIET, alpha=0.8)
        axes.margins(y=0.12)
    if part:
        axes.axvspan(*window, facecolor="#f5a623", alpha=0.3, edgecolor="none", zorder=0.5)
    axes.set_yticks([])
    axes.set_xlim(*((-0.5, length - 0.5) if part else window))


def _shares(axes: "Axes", effective: "EffectiveField", shown: Span) -> None:
    """The share of each position in the gradient, and the intervals that hold 50 and 95 % of it."""
    positions, smooth = np.arange(len(effective.map)), smoothed(effective.map)
    axes.fill_between(positions, effective.map, step="mid", color=TRAIN, alpha=0.3, linewidth=0)
    axes.plot(positions, smooth, color=TRAIN, linewidth=1.5)
    for share, alpha in ((0.95, 0.08), (0.5, 0.14)):
        ((first, last),) = effective.holding(share).box
        axes.axvspan(first - 0.5, last + 0.5, color=TRAIN, alpha=alpha, linewidth=0, zorder=0.6)
    (sigma,) = effective.gaussian.sigma
    text = f"gradient: sigma {sigma:.3g}, shaded 50 and 95 %"
    axes.annotate(text, (1, 1), (0, 4), "axes fraction", "offset points", ha="right", color=QUIET, size=8.5)
    axes.set_yticks([])
    axes.tick_params(labelbottom=False)
    axes.set_xlim(*shown)
    axes.set_ylim(0, 2 * float(smooth.max()))  # single positions may stand out above


def _bars(axes: "Axes", boxes: Sequence[Box], length: int, shown: Span) -> None:
    """The layers' names at the left, their sizes at the right."""
    axes.axvspan(-0.5, length - 0.5, color=CANVAS, linewidth=0, zorder=0)
    for place, (box, colour) in enumerate(zip(boxes, colours(len(boxes)), strict=True)):
        _bar(axes, box, place, length, colour)
        if box.size[0] < 0.005 * (shown[1] - shown[0]):  # it would hardly be seen
            axes.plot(box.center[0], place, "|", color=colour, markersize=0.5 * 72 * _BAR, markeredgewidth=1.6)
    axes.axvline(boxes[0].center[0], color=LINE, linewidth=0.8, zorder=0.8)
    axes.set_yticks(range(len(boxes)), [shortened(box.path) for box in boxes], parse_math=False)
    axes.tick_params(axis="y", length=0)
    sizes = axes.secondary_yaxis("right")
    sizes.set_yticks(range(len(boxes)), [f"{box.size[0]:,}" for box in boxes])
    sizes.spines[:].set_visible(False)
    sizes.tick_params(length=0, labelsize=8.5)
    axes.set_xlim(*shown)
    axes.set_ylim(len(boxes) - 0.4, -0.6)


def _bar(axes: "Axes", box: Box, place: int, length: int, colour: str) -> None:
    from matplotlib.patches import Rectangle

    span, mask = (box.low[0] - 0.5, box.high[0] + 0.5), box.mask()
    for (begin, end), inside in parts(span, (-0.5, length - 0.5)):
        style: dict[str, Any] = {"facecolor": colour, "alpha": 0.3 if mask is not None else 0.85, "linewidth": 0}
        if not inside:
            style = {"facecolor": "none", "edgecolor": colour, "linewidth": 1.1, "linestyle": DASHED}
        axes.add_patch(Rectangle((begin, place - 0.25), end - begin, 0.5, **style))
    if mask is not None:
        for position in np.flatnonzero(mask) + box.low[0]:
            axes.add_patch(Rectangle((position - 0.5, place - 0.25), 1, 0.5, facecolor=colour, linewidth=0))
