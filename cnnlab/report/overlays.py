"""Masks over images: what is true beside what was predicted."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnlab.report.style import QUIET, new_figure, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN, NAMES_UP_TO = 6, 20


def overlays_png(shown: Mapping[str, np.ndarray], names: Sequence[str], split: str) -> bytes:
    """A column an example: the input, its mask and the predicted one over it; grey is what says nothing.

    shown: "x" [example, *space, channel], "mask" and "predicted" [example, *space]; of volumes the middle slice is
    drawn, of signals a band under the curve. The first class is taken as background and left clear.
    """
    from matplotlib.patches import Patch

    count = min(SHOWN, len(shown["x"]))
    colours = class_colours(len(names))
    with new_figure() as figure:
        figure.set_size_inches(max(5.0, 1.9 * count), 6.4)
        figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03)
        rows = figure.subplots(3, count, squeeze=False)
        for k in range(count):
            for row, mask in zip(rows[:, k], (None, shown["mask"][k], shown["predicted"][k]), strict=True):
                _one(row, shown["x"][k], mask, colours)
        for row, title in zip(rows[:, 0], (f"{split}: input", "true", "predicted"), strict=True):
            row.set_title(title, loc="left", size=10, color=QUIET)
        there = [i for i in range(len(names)) if (shown["mask"] == i).any() or (shown["predicted"] == i).any()]
        patches = [Patch(color=colours[i][:3], label=names[i]) for i in there[:NAMES_UP_TO] if i]
        if patches:
            figure.legend(handles=patches, loc="outside lower left", ncols=6, frameon=False, fontsize=9)
        return png(figure, tight=False)


def class_colours(count: int) -> np.ndarray:
    """RGBA [class, 4] from 0 to 1: the first clear, the others translucent and told apart."""
    from matplotlib import colormaps

    palette = colormaps["tab20"](np.arange(20)) if count > 11 else colormaps["tab10"](np.arange(10))
    colours = palette[(np.arange(count) - 1) % len(palette)].copy()
    colours[:, 3] = 0.6
    colours[0, 3] = 0
    return colours


def _one(axes: "Axes", x: np.ndarray, mask: np.ndarray | None, colours: np.ndarray) -> None:
    axes.set_axis_off()
    space = x.ndim - 1
    if space == 3:
        x = x[len(x) // 2]
        mask = None if mask is None else mask[len(mask) // 2]
    if space == 1:
        axes.plot(x[:, 0], color=QUIET, linewidth=0.8)
        if mask is not None:
            band = _coloured(mask, colours)[None]
            axes.imshow(band, aspect="auto", extent=(0, len(x), *axes.get_ylim()), interpolation="nearest", zorder=0)
        return
    low, high = x.min(), x.max()
    axes.imshow((x - low) / max(high - low, 1e-12) if x.shape[-1] == 3 else x[..., 0], cmap="gray")
    if mask is not None:
        rows, columns = ((whole - size) / 2 for whole, size in zip(x.shape, mask.shape, strict=False))
        extent = (columns - 0.5, columns + mask.shape[1] - 0.5, rows + mask.shape[0] - 0.5, rows - 0.5)
        axes.imshow(_coloured(mask, colours), extent=extent, interpolation="nearest")
        axes.set_xlim(-0.5, x.shape[1] - 0.5)
        axes.set_ylim(x.shape[0] - 0.5, -0.5)


def _coloured(mask: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """RGBA [*space, 4] of class ids."""
    table = np.concatenate([colours, np.full((256 - len(colours), 4), [0.5, 0.5, 0.5, 0.7])])
    return table[mask]
