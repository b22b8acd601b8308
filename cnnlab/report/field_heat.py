"""An effective receptive field in a picture: its heat map and the contours of 50 and 95 % of the gradient."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap

CONTOURS = {0.5: ("#0b2f5e", 1.5), 0.95: ("#3f83c0", 1.1)}


def heat_colours(*, opaque: bool) -> "LinearSegmentedColormap":
    """From white, or from what is below, to dark blue."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgba

    if opaque:
        return LinearSegmentedColormap.from_list("gradient", ["#ffffff", "#a9cbe8", "#3f83c0", "#123d73"])
    ends = [to_rgba("#6fa8d8", 0.0), to_rgba("#4b90cc", 0.55), to_rgba("#123d73", 0.92)]
    return LinearSegmentedColormap.from_list("gradient over", ends)


def heat(axes: "Axes", shares: np.ndarray, most: float, *, opaque: bool) -> Any:
    """Shares [row, column] as colours, `most` being the darkest; a square root, so that faint parts are still seen."""
    from matplotlib.colors import PowerNorm

    norm = PowerNorm(0.5, 0, most)
    return axes.imshow(shares, cmap=heat_colours(opaque=opaque), norm=norm, interpolation="nearest", zorder=1.2)


def contours(axes: "Axes", shares: np.ndarray) -> None:
    """Around the fewest positions that hold 50 and 95 % of a plane [row, column], which is smoothed a little."""
    from matplotlib import patheffects

    if min(shares.shape) < 2 or not shares.any():
        return
    smooth = smoothed(shares)
    rows, columns = (np.array([-0.5, *range(n), n - 0.5]) for n in shares.shape)  # to the border of the image
    for share, (colour, width) in CONTOURS.items():
        level = level_of(smooth, share)
        if smooth.min() < level < smooth.max():
            values = np.pad(smooth, 1, mode="edge")
            lines = axes.contour(columns, rows, values, levels=[level], colors=[colour], linewidths=[width], zorder=2.2)
            lines.set(path_effects=[patheffects.withStroke(linewidth=width + 1.6, foreground="white", alpha=0.6)])


def level_of(shares: np.ndarray, share: float) -> float:
    """The value that the positions, largest first, have come down to where they hold `share` of the whole."""
    falling = np.sort(shares, axis=None)[::-1]
    sums = np.cumsum(falling)
    return float(falling[min(np.searchsorted(sums, share * sums[-1]), falling.size - 1)])


def smoothed(shares: np.ndarray) -> np.ndarray:
    """The map blurred by a quarter of its own deviation per axis, but not beyond where it is 0 all along an axis.

    Random weights leave a noise from position to position, and a contour would go around each.
    """
    result, within = shares, np.ix_(*(_extent(shares, axis) for axis in range(shares.ndim)))
    for axis, n in enumerate(shares.shape):
        marginal = _marginal(shares, axis) / shares.sum()
        mean = marginal @ np.arange(n)
        sigma = float(np.sqrt(marginal @ (np.arange(n) - mean) ** 2)) / 4
        reach = int(3 * sigma)
        if reach < 1:
            continue
        kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
        padded = np.pad(result, [(reach, reach) if k == axis else (0, 0) for k in range(result.ndim)], mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.size, axis)
        result = windows @ (kernel / kernel.sum())
    cut = np.zeros_like(result)
    cut[within] = result[within]
    return cut


def _marginal(shares: np.ndarray, axis: int) -> np.ndarray:
    return shares.sum(tuple(other for other in range(shares.ndim) if other != axis))


def _extent(shares: np.ndarray, axis: int) -> np.ndarray:
    """The positions from the first to the last that are not 0 all along."""
    some = np.flatnonzero(_marginal(shares, axis))
    return np.arange(some[0], some[-1] + 1)


def plane(array: np.ndarray, axes: tuple[int, int], center: tuple[float, ...]) -> np.ndarray:
    """The slice [row, column, ...] of an array [*space, ...] along two of its axes, at `center` on the others."""
    return array[tuple(slice(None) if k in axes else min(int(c), array.shape[k] - 1) for k, c in enumerate(center))]
