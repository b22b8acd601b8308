"""A sheet of examples: a row each, images, curves or slices of volumes, with masks and boxes drawn on them."""

from typing import TYPE_CHECKING

import numpy as np

from cnnlab.report.preview import Previewed, View
from cnnlab.report.style import INK, LINE, QUIET, Kind, new_figure, rendered
from cnnlab.spec.data import UNKNOWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES, CELL, GAP, LINES, HEAD, FOOT = 1.25, 1.25, 0.08, 0.24, 0.62, 0.35  # inches
# Of classes: Okabe and Ito's (2008) without black, and three of Tol's; beyond ten they come again.
COLOURS = (
    *("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"),
    *("#882255", "#999933", "#aa4499"),
)


def sheet(found: Previewed, kind: Kind) -> bytes:
    """The picture: originals at the left with their labels, what training sees to the right."""
    rows, columns = len(found.rows), len(found.columns)
    room = LINES if any(view.text for row in found.rows for view in row[1:]) else 0.0  # under each version its mixture
    width = NAMES + columns * (CELL + GAP)
    foot = FOOT if found.mask_names else 0.1
    height = HEAD + rows * (CELL + GAP + room) + foot
    low, high = _range(found)
    with new_figure() as figure:
        figure.set_size_inches(width, height)
        figure.text(0.1 / width, 1 - 0.1 / height, found.title, size=11, weight="bold", va="top", parse_math=False)
        note = _note(found.rows[0][0].x.shape)
        figure.text(1 - 0.1 / width, 1 - 0.13 / height, note, size=8, color=QUIET, ha="right", va="top")
        for r, row in enumerate(found.rows):
            top = height - HEAD - r * (CELL + GAP + room)
            figure.text(
                (NAMES - 0.1) / width, (top - CELL / 2) / height, _cut(row[0].text, 18), size=8, ha="right",
                va="center", parse_math=False,
            )  # fmt: skip
            for c, view in enumerate(row):
                left = NAMES + c * (CELL + GAP)
                axes = figure.add_axes((left / width, (top - CELL) / height, CELL / width, CELL / height))
                _draw(axes, view, found, low, high)
                if r == 0:
                    axes.set_title(found.columns[c], size=8.5, color=INK if c == 0 else QUIET, pad=5)
                if c and view.text:
                    axes.annotate(
                        _cut(view.text, 24), (0.5, 0), (0, -3), "axes fraction", "offset points", size=6.5, ha="center",
                        va="top", color=QUIET, parse_math=False,
                    )  # fmt: skip
        if found.mask_names:
            _legend(figure, found, width, height)
        return rendered(figure, kind, tight=False)


def _note(shape: tuple[int, ...]) -> str:
    """What of an example is not seen in its picture."""
    parts = [f"slice {shape[0] // 2 + 1} of {shape[0]}"] if len(shape) == 4 else []
    parts += [f"the first of {shape[-1]} channels"] if len(shape) > 2 and shape[-1] not in (1, 3) else []
    return ", ".join(parts)


def _cut(text: str, length: int) -> str:
    lines = text.split("\n")
    return "\n".join(line if len(line) <= length else line[: length - 1] + "…" for line in lines)


def _range(found: Previewed) -> tuple[float, float]:
    """What is drawn black and white, or at the foot and the head of curves: nearly all values of the originals."""
    if found.pixels and found.rows[0][0].x.ndim > 2:
        return 0.0, 1.0
    values = np.concatenate([row[0].x.ravel() for row in found.rows])
    if found.rows[0][0].x.ndim == 2:
        spread = float(np.ptp(values)) or 1.0
        return float(values.min()) - 0.15 * spread, float(values.max()) + 0.15 * spread
    low, high = np.percentile(values, (0.5, 99.5))
    return float(low), float(high) if high > low else float(low) + 1


def _draw(axes: "Axes", view: View, found: Previewed, low: float, high: float) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(LINE)
    if view.x.ndim == 2:
        _curve(axes, view, found, low, high)
    else:
        _image(axes, _slice(view) if view.x.ndim == 4 else view, found, low, high)


def _slice(view: View) -> View:
    """The middle one along the first axis, and the boxes that it cuts."""
    middle = view.x.shape[0] // 2
    boxes = view.boxes
    if boxes is not None:
        cut = boxes[(boxes[:, 0] <= middle) & (middle < boxes[:, 3])]
        boxes = cut[:, [1, 2, 4, 5, 6]]
    return View(view.x[middle], None if view.mask is None else view.mask[middle], boxes, view.text)


def _image(axes: "Axes", view: View, found: Previewed, low: float, high: float) -> None:
    from matplotlib.patches import Rectangle

    pixels = ((view.x - low) / (high - low)).clip(0, 1)
    shown = pixels if pixels.shape[-1] == 3 else pixels[..., 0]  # of other channels the first
    axes.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    if view.mask is not None:
        axes.imshow(_coloured(view.mask, found.mask_names), interpolation="nearest")
    for top, left, bottom, right, number in [] if view.boxes is None else view.boxes:
        if number < 0:
            continue
        colour = COLOURS[int(number) % len(COLOURS)]
        corner, size = (left - 0.5, top - 0.5), (right - left, bottom - top)  # a pixel's middle is at its number
        axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=colour, linewidth=1.2))
        axes.annotate(
            found.box_names[int(number)], corner, (1, -1), textcoords="offset points", size=5.5, va="top",
            color="white", parse_math=False, annotation_clip=False,
            bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip
    axes.set_xlim(-0.5, shown.shape[1] - 0.5)
    axes.set_ylim(shown.shape[0] - 0.5, -0.5)


def _curve(axes: "Axes", view: View, found: Previewed, low: float, high: float) -> None:
    """A line for each channel; masks as bands of colour, boxes as brackets."""
    length = len(view.x)
    if view.mask is not None:
        band = _coloured(view.mask[None], found.mask_names)
        axes.imshow(band, extent=(-0.5, length - 0.5, low, high), aspect="auto", interpolation="nearest")
    for begin, end, number in [] if view.boxes is None else view.boxes:
        if number >= 0:
            axes.axvspan(begin - 0.5, end - 0.5, color=COLOURS[int(number) % len(COLOURS)], alpha=0.3, linewidth=0)
    axes.plot(np.arange(length), view.x, linewidth=0.8)
    axes.set_xlim(-0.5, length - 0.5)
    axes.set_ylim(low, high)


def _colour_of(names: tuple[str, ...], number: int) -> str | None:
    """None for the background, which stays as it is."""
    background = names and names[0].lower() == "background"
    return None if background and number == 0 else COLOURS[(number - bool(background)) % len(COLOURS)]


def _coloured(mask: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """A mask [height, width] as translucent colours [height, width, 4]; nothing said is grey."""
    from matplotlib.colors import to_rgba

    table = np.zeros((256, 4))
    for number in range(len(names)):
        colour = _colour_of(names, number)
        if colour is not None:
            table[number] = to_rgba(colour, 0.5)
    table[UNKNOWN] = to_rgba("#808080", 0.6)
    return table[mask]


def _legend(figure: "Figure", found: Previewed, width: float, height: float) -> None:
    """The masks' classes by their colours, as many as have one of their own."""
    from matplotlib.patches import Patch

    named = [(name, _colour_of(found.mask_names, i)) for i, name in enumerate(found.mask_names)]
    patches = [Patch(facecolor=colour, alpha=0.6, label=name) for name, colour in named if colour][: len(COLOURS)]
    patches.append(Patch(facecolor="#808080", alpha=0.6, label="nothing said"))
    figure.legend(
        handles=patches, loc="lower left", bbox_to_anchor=(NAMES / width, 0.05 / height), ncols=len(patches),
        frameon=False, fontsize=7.5, borderaxespad=0, handlelength=1, columnspacing=1.2,
    )  # fmt: skip
