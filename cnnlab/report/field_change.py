"""The picture of an effective receptive field over training: initialisation beside the best checkpoint."""

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from cnnlab.errors import CnnlabError
from cnnlab.report.field_boxes import CANVAS, Box, Span, frame, headline, is_part, panels, view
from cnnlab.report.field_heat import CONTOURS, contours, heat, heat_colours, plane, smoothed
from cnnlab.report.style import LINE, QUIET, TRAIN, Kind, new_figure, rendered

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cnnlab.receptive_field.effective import Change, EffectiveField

NAMES = ("initialisation", "best checkpoint")


def change_picture(change: "Change", kind: Kind, *, title: str) -> bytes:
    """Two heat maps at one scale of colours, with the contours of 50 and 95 % of the gradient and the sigmas.

    One axis makes two curves, three make the slices through the unit's centre. Where 99 % of the gradient lies in a
    small part of the image, that part is shown. Raises CnnlabError for more axes than can be drawn.
    """
    fields = change.initial, change.trained
    space = change.initial.map.shape
    if len(space) > 3:
        raise CnnlabError(f"an input of {len(space)} axes cannot be drawn", hint="there are pictures of 1 to 3")
    boxes = [Box("", *zip(*field.holding(0.99).box, strict=True)) for field in fields]
    shown = view(boxes, space)
    note = f"gradient of {change.initial.path} at the unit {', '.join(map(str, change.initial.unit))}"
    if is_part(shown, space):
        note += ", a part of the input"
    with new_figure() as figure:
        if len(space) == 1:
            figure.set_size_inches(8, 2.6)
            axes = figure.add_axes((0, 0, 1, 1))
            _curves(axes, fields, shown[0])
            headline(axes, title, note)
            return rendered(figure, kind, tight=True)
        planes = list(combinations(range(len(space)), 2))[::-1]
        rows = [planes * 2] if len(space) == 2 else [planes, planes]
        drawn = panels(figure, rows, shown, least=2.6, between=1.25)
        most = max(float(field.map.max()) for field in fields)
        for axes, pair, k in zip(drawn, planes * 2, np.repeat((0, 1), len(planes)), strict=True):
            _map(axes, fields[k], pair, shown, most)
        for axes, field, name in zip(drawn[:: len(planes)], fields, NAMES, strict=True):
            _heading(axes, field, name)
        _key(drawn[-1] if len(space) == 2 else drawn[2], most)
        headline(drawn[0], title, note, above=48)
        return rendered(figure, kind, tight=True)


def _map(axes: "Axes", field: "EffectiveField", pair: tuple[int, int], shown: list[Span], most: float) -> None:
    shares = plane(field.map, pair, field.center)
    heat(axes, shares, most, opaque=True)
    contours(axes, shares)
    frame(axes)
    axes.spines[:].set(visible=True, color=LINE)
    axes.set_xlim(*shown[pair[1]])
    axes.set_ylim(*shown[pair[0]][::-1])


def _heading(axes: "Axes", field: "EffectiveField", name: str) -> None:
    """Above a panel: whose field it is, and its figures."""
    half, most = (f"{field.holding(share).pixels:,}" for share in (0.5, 0.95))
    lines = [_gaussian(field), f"50 % in {half} positions, 95 % in {most}"]
    axes.annotate(name, (0, 1), (0, 36), "axes fraction", "offset points", size=10.5)
    for line, height in zip(lines, (22, 9), strict=True):
        axes.annotate(line, (0, 1), (0, height), "axes fraction", "offset points", color=QUIET, size=8.5)


def _gaussian(field: "EffectiveField") -> str:
    text = f"sigma {', '.join(f'{sigma:.3g}' for sigma in field.gaussian.sigma)}"
    return text if field.gaussian.r_squared is None else f"{text}, R² {field.gaussian.r_squared:.2f}"


def _key(axes: "Axes", most: float) -> None:
    """Right of the last panel: the scale of colours, and which contour is which."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import PowerNorm
    from matplotlib.lines import Line2D

    figure = axes.get_figure()
    assert figure is not None
    inch, high = (1 / axes.get_position().size * 1 / figure.get_size_inches()).tolist()  # type: ignore[union-attr]
    bar = axes.inset_axes((1 + 0.25 * inch, 1 - min(1.0, 1.6 * high), 0.14 * inch, min(1.0, 1.6 * high)))
    scale = ScalarMappable(PowerNorm(0.5, 0, most), heat_colours(opaque=True))
    figure.colorbar(scale, cax=bar, ticks=[0, most / 4, most])
    bar.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.2g} %")
    bar.tick_params(labelsize=8.5, length=2)
    bar.grid(False)
    bar.spines[:].set_visible(False)
    bar.set_ylabel("share of a position", color=QUIET, size=8.5)
    lines = [
        Line2D([], [], color=colour, linewidth=width, label=f"{100 * share:.0f} %")
        for share, (colour, width) in CONTOURS.items()
    ]
    corner = (1 + 0.2 * inch, 0.97 - min(1.0, 1.6 * high))
    axes.legend(handles=lines, loc="upper left", bbox_to_anchor=corner, borderaxespad=0, frameon=False, fontsize=8.5)


def _curves(axes: "Axes", fields: tuple["EffectiveField", "EffectiveField"], shown: Span) -> None:
    """Both fields along the only axis; the lines below them are what holds 50 and 95 % of the gradient."""
    length, smooth = len(fields[0].map), [smoothed(field.map) for field in fields]
    top = max(float(curve.max()) for curve in smooth)
    axes.axvspan(-0.5, length - 0.5, color=CANVAS, linewidth=0, zorder=0)
    for place, (field, curve, name, colour) in enumerate(zip(fields, smooth, NAMES, (QUIET, TRAIN), strict=True)):
        axes.fill_between(np.arange(length), curve, color=colour, alpha=0.15, linewidth=0)
        axes.plot(np.arange(length), curve, color=colour, linewidth=1.7, label=f"{name}: {_gaussian(field)}")
        for share, width in ((0.95, 1.5), (0.5, 4)):
            ((first, last),) = field.holding(share).box
            axes.plot((first - 0.5, last + 0.5), [-top * (0.08 + 0.09 * place)] * 2, color=colour, linewidth=width)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0, frameon=False, fontsize=9)
    frame(axes)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_yticks([])
    axes.set_xlim(*shown)
    axes.set_ylim(-0.26 * top, 1.1 * top)
