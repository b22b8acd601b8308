"""The picture of receptive fields: nested boxes on an image, spans under a signal, the slices of a volume."""

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnlab.layers.windows import show
from cnnlab.report.field_boxes import (
    CANVAS,
    Box,
    Space,
    Span,
    canvas,
    check,
    colours,
    frame,
    headline,
    is_beyond,
    is_part,
    outline,
    panels,
    shortened,
    view,
)
from cnnlab.report.field_heat import CONTOURS, contours, heat, plane
from cnnlab.report.field_signal import signal_picture
from cnnlab.report.style import INK, LINE, QUIET, Kind, new_figure, rendered

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cnnlab.receptive_field.effective import EffectiveField

FIGURE_SPACE = "\N{FIGURE SPACE}"  # as wide as a digit


def field_picture(
    boxes: Sequence[Box],
    space: Space,
    kind: Kind,
    *,
    title: str,
    image: np.ndarray | None = None,
    effective: "EffectiveField | None" = None,
) -> bytes:
    """The boxes, which may come in any order, on an image [*space] or [*space, channel], or on a grey canvas.

    A box is solid inside the image and dashed beyond it, where there is padding. `effective` is drawn as a heat map
    with the contours of 50 and 95 % of the gradient. One axis makes a signal with a bar for each box, three make a
    volume's slices through the centre of the innermost box. `chosen` takes a few out of many boxes. Raises CnnlabError
    without boxes, and for an image of another size than `space`.
    """
    check(boxes, space, image)
    ordered = sorted(boxes, key=lambda box: sum(box.size))
    if len(space) == 1:
        return signal_picture(ordered, space[0], kind, title=title, signal=image, effective=effective)
    background, shown = canvas(image, space, pale=effective is not None), view(ordered, space)
    planes = list(combinations(range(len(space)), 2))[::-1]  # the last two axes first: what one takes for the image
    with new_figure() as figure:
        drawn = panels(figure, [planes], shown)
        for axes, pair in zip(drawn, planes, strict=True):
            _panel(axes, ordered, space, pair, shown, background, effective)
        _legend(drawn[-1], ordered, shown, effective)
        if len(space) == 2 and is_part(shown, space):
            _overview(drawn[0], space, shown, background)
        headline(drawn[0], title, _note(ordered, space, shown, effective))
        return rendered(figure, kind, tight=True)


def _panel(
    axes: "Axes",
    boxes: Sequence[Box],
    space: Space,
    pair: tuple[int, int],
    shown: list[Span],
    background: np.ndarray | None,
    effective: "EffectiveField | None",
) -> None:
    """One plane: rows are the axis `pair[0]`, columns `pair[1]`."""
    from matplotlib.patches import Rectangle

    row, column = pair
    center = boxes[0].center
    borders = {k: (-0.5, space[k] - 0.5) for k in pair}
    corner = Rectangle((-0.5, -0.5), space[column], space[row], facecolor=CANVAS, edgecolor="none", zorder=0)
    axes.add_patch(corner)
    if background is not None:
        at = plane(background, pair, center)
        axes.imshow(at, cmap="gray", vmin=0, vmax=1, interpolation="nearest", zorder=1)
    for box, colour in zip(boxes, colours(len(boxes)), strict=True):
        _support(axes, box, pair, center, colour)
    if effective is not None:
        shares = plane(effective.map, pair, center)
        heat(axes, shares, float(effective.map.max()), opaque=False)
        contours(axes, shares)
    axes.add_patch(Rectangle((-0.5, -0.5), space[column], space[row], fill=False, edgecolor=LINE, zorder=1.5))
    for box, colour in reversed(list(zip(boxes, colours(len(boxes)), strict=True))):
        across, down = ((box.low[k] - 0.5, box.high[k] + 0.5) for k in (column, row))
        outline(axes, across, down, (borders[column], borders[row]), colour)
    axes.plot(center[column], center[row], "+", color="#111111", markersize=6, markeredgewidth=1.2, zorder=4)
    frame(axes)
    axes.set_xlim(*shown[column])  # once more: an image on the axes changed it
    axes.set_ylim(*shown[row][::-1])


def _overview(axes: "Axes", space: Space, shown: list[Span], background: np.ndarray | None) -> None:
    """The whole image, small, at the right below the legend, with the part of it that is shown."""
    from matplotlib.patches import Rectangle

    size = axes.get_figure().get_size_inches() / (1.2 / max(space))  # type: ignore[union-attr]
    small = axes.inset_axes((1.03, 0.0, space[1] / size[0], space[0] / size[1]))
    small.set_facecolor(CANVAS)
    if background is not None:
        small.imshow(background, cmap="gray", vmin=0, vmax=1)
    (top, bottom), (left, right) = shown
    small.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=INK, linewidth=1.2))
    small.set(xlim=(-0.5, space[1] - 0.5), ylim=(space[0] - 0.5, -0.5), xticks=[], yticks=[])
    small.grid(False)
    small.spines[:].set_visible(False)


def _support(axes: "Axes", box: Box, pair: tuple[int, int], center: Sequence[float], colour: str) -> None:
    """The positions that are seen, shaded, where there are holes between them."""
    from matplotlib.colors import to_rgb

    mask = box.mask()
    if mask is None or mask.all():
        return
    seen = plane(mask, pair, tuple(c - low for c, low in zip(center, box.low, strict=True)))
    shade = np.zeros((*seen.shape, 4))
    shade[seen] = (*to_rgb(colour), 0.45)
    (top, bottom), (left, right) = ((box.low[k] - 0.5, box.high[k] + 0.5) for k in pair)
    axes.imshow(shade, extent=(left, right, bottom, top), interpolation="nearest", zorder=1.1)


def _legend(axes: "Axes", boxes: Sequence[Box], shown: Sequence[Span], effective: "EffectiveField | None") -> None:
    """Right of the last panel: the boxes, the outermost first, and what the other lines are."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    longest = max(len(show(box.size)) for box in boxes)
    entries: list[Any] = []
    for box, colour in reversed(list(zip(boxes, colours(len(boxes)), strict=True))):
        label = f"{show(box.size).rjust(longest, FIGURE_SPACE)}   {shortened(box.path)}"
        if all(low < begin and end < high for low, high, (begin, end) in zip(box.low, box.high, shown, strict=True)):
            label += ", out of sight"
        entries.append(Line2D([], [], color=colour, linewidth=2.2, label=label))
    if any(box.mask() is not None for box in boxes):
        entries.append(Patch(facecolor=QUIET, alpha=0.45, label="the positions that are seen"))
    if effective is not None:
        for share, (colour, width) in CONTOURS.items():
            entries.append(Line2D([], [], color=colour, linewidth=width, label=f"{100 * share:.0f} % of the gradient"))
    corner: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.03, 1.0), "borderaxespad": 0}
    legend = axes.legend(handles=entries, fontsize=9.5, frameon=False, handlelength=1.6, labelspacing=0.65, **corner)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _note(boxes: Sequence[Box], space: Space, shown: list[Span], effective: "EffectiveField | None") -> str:
    """One line under the title: what is to be seen."""
    parts = [f"input {show(space)}" + (", around the boxes alone" if is_part(shown, space) else "")]
    if len(space) == 3:
        parts.append(f"slices through {', '.join(f'{c:g}' for c in boxes[0].center)}")
    if is_beyond(boxes, space):
        parts.append("dashed: beyond its border")
    if effective is not None:
        sigma = ", ".join(f"{s:.3g}" for s in effective.gaussian.sigma)
        parts.append(f"gradient of {shortened(effective.path)}: sigma {sigma}")
    return "; ".join(parts)
