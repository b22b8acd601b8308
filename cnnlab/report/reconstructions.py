"""Inputs beside what an autoencoder makes of them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Shaped

from cnnlab.report.labels import short
from cnnlab.report.style import INK, QUIET, VALIDATION, new_figure, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 10


def reconstructions_png(
    shown: Mapping[str, np.ndarray],
    errors: Shaped[np.ndarray, " example"],
    split: str,
    names: Sequence[str] | None = None,
    anomalies: Bool[np.ndarray, " example"] | None = None,
) -> bytes:
    """A column an example: what the network was given where that was corrupted, its reconstruction, the original.

    shown: "given" (or not), "reconstruction" and "x", [example, *space, channel], in the input's own units; a column
    has one scale of grey, that of the original. Above stand the class and the mean squared error, an anomaly's in
    colour. Of volumes the middle slice is drawn; signals and vectors are lines.
    """
    rows = [(name, title) for name, title in _ROWS if name in shown]
    drawn = _chosen(len(shown["x"]), anomalies)
    count = len(drawn)
    with new_figure() as figure:
        figure.set_size_inches(max(4.6, 0.95 * count + 1.1), 0.75 + 1.02 * len(rows))
        figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.03)
        panels = figure.subplots(len(rows), count, squeeze=False)
        for column, k in zip(panels.T, drawn, strict=True):
            for axes, (name, _) in zip(column, rows, strict=True):
                _one(axes, shown[name][k], shown["x"][k])
            strange = anomalies is not None and bool(anomalies[k])
            label = "" if names is None else f"{short(names[k])}\n"
            colour = VALIDATION if strange else INK
            column[0].set_title(f"{label}{errors[k]:.3g}", size=8.5, color=colour, parse_math=False)
        for axes, (_, title) in zip(panels[:, 0], rows, strict=True):
            axes.set_ylabel(title, size=9, color=QUIET)
        note = "" if anomalies is None else ", anomalies in orange"
        above = "mean squared error" if names is None else "class and mean squared error"
        figure.suptitle(f"{split}: {above}{note}", x=0.012, ha="left", size=10)
        return png(figure, tight=False)


def _chosen(count: int, anomalies: Bool[np.ndarray, " example"] | None) -> list[int]:
    """The first examples; of normal ones and anomalies as many of each, the normal ones first, where there are."""
    if anomalies is None:
        return list(range(min(SHOWN, count)))
    normal, strange = np.flatnonzero(~anomalies[:count]).tolist(), np.flatnonzero(anomalies[:count]).tolist()
    half = max(SHOWN // 2, SHOWN - len(strange))
    return [*normal[:half], *strange[: SHOWN - min(half, len(normal))]]


_ROWS = (("given", "given"), ("reconstruction", "output"), ("x", "original"))


def _one(axes: "Axes", x: np.ndarray, original: np.ndarray) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    low, high = float(original.min()), float(original.max())
    if x.ndim == 4:
        x = x[len(x) // 2]
    if x.ndim < 3:
        axes.plot(x if x.ndim == 1 else x[:, 0], color=INK, linewidth=0.9)
        margin = 0.15 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)
    elif x.shape[-1] == 3:
        axes.imshow(((x - low) / max(high - low, 1e-12)).clip(0, 1))
    else:
        axes.imshow(x[..., 0], cmap="gray", vmin=low, vmax=high if high > low else low + 1)
