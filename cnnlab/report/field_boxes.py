"""What pictures of receptive fields are made of: boxes, their colours, the part of the image that is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnlab.errors import CnnlabError
from cnnlab.layers.windows import show
from cnnlab.report.style import INK, LINE, QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Space = tuple[int, ...]
Span = tuple[float, float]

# From the innermost box to the outermost: apart from each other, from the blue of gradients, and in grey by lightness.
_COLOURS = ("#f5a623", "#e4572e", "#c2185b", "#7b1fa2", "#26235c")
CANVAS = "#eef0f3"
SIDE = 5.4  # inches, of the longer side of one panel
GAP = 0.6
DASHED = (0, (3.2, 2.2))
_LONGEST_PATH = 44


@dataclass(frozen=True, eq=False)
class Box:
    """The field of one unit: first and last input position per axis, as if the image went on beyond its border.

    `support` says which positions of the box are seen, where not all are: a boolean array of the box's shape, or one
    for each axis of the box's length, which then all have to hold.
    """

    path: str
    low: Space
    high: Space
    support: np.ndarray | tuple[np.ndarray, ...] | None = None

    @property
    def size(self) -> Space:
        return tuple(high - low + 1 for low, high in zip(self.low, self.high, strict=True))

    @property
    def center(self) -> tuple[float, ...]:
        return tuple((low + high) / 2 for low, high in zip(self.low, self.high, strict=True))

    def mask(self) -> np.ndarray | None:
        """The support in full; None where it is the whole box."""
        if self.support is None or isinstance(self.support, np.ndarray):
            return self.support
        return reduce(np.logical_and, np.meshgrid(*self.support, indexing="ij", sparse=True))


def chosen(boxes: Sequence[Box], most: int = 6) -> tuple[Box, ...]:
    """At most `most` of the boxes, from the smallest to the largest: each extent once (the first layer that has it),
    at even distances in their order, the outermost always among them."""
    different = {(box.low, box.high): box for box in reversed(boxes)}
    ordered = sorted(different.values(), key=lambda box: (sum(box.size), box.path))
    places = np.linspace(0, len(ordered) - 1, min(most, len(ordered))).round().astype(int)
    return tuple(ordered[place] for place in places)


def check(boxes: Sequence[Box], space: Space, image: np.ndarray | None) -> None:
    """Raises CnnlabError without boxes, for more axes than can be drawn, and for an image of another size."""
    if not boxes:
        raise CnnlabError("no layer is chosen, so there is no field to draw")
    if not 1 <= len(space) <= 3:
        raise CnnlabError(f"an input of {len(space)} axes cannot be drawn", hint="there are pictures of 1 to 3")
    if image is not None and image.shape[: len(space)] != space:
        message = f"the image is {show(image.shape[: len(space)])}, and the network's input {show(space)}"
        raise CnnlabError(message, hint="give an image of that size")


def colours(count: int) -> list[str]:
    """One for each box, from the innermost to the outermost."""
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    scale = LinearSegmentedColormap.from_list("boxes", _COLOURS)
    return [to_hex(scale(i / max(count - 1, 1))) for i in range(count)]


def view(boxes: Sequence[Box], space: Space) -> list[Span]:
    """What is shown of each axis, in positions: the image and the boxes around it, as far as the image is long again;
    of an image that is four times as long as the boxes on every axis, their surroundings."""
    lows, highs = (np.array([getattr(box, end) for box in boxes]) for end in ("low", "high"))
    low, high = lows.min(0), highs.max(0)
    near = bool(((high - low + 1) * 4 < np.array(space)).all())
    spans = []
    for first, last, n in zip(low.tolist(), high.tolist(), space, strict=True):
        length = last - first + 1
        if near:
            spans.append((first - 0.5 - 0.6 * length, last + 0.5 + 0.6 * length))
        else:
            begin, end = max(min(first, 0), -n), min(max(last, n - 1), 2 * n - 1)
            margin = 0.02 * (end - begin + 1)
            spans.append((begin - 0.5 - margin, end + 0.5 + margin))
    return spans


def is_beyond(boxes: Sequence[Box], space: Space) -> bool:
    """Whether some box reaches out of the image."""
    return any(low < 0 or high >= n for box in boxes for low, high, n in zip(box.low, box.high, space, strict=True))


def is_part(shown: Sequence[Span], space: Space) -> bool:
    """Whether a part of the image is shown alone."""
    return all(end - begin < n for (begin, end), n in zip(shown, space, strict=True))


def canvas(image: np.ndarray | None, space: Space, *, pale: bool) -> np.ndarray | None:
    """The image as grey or RGB from 0 to 1, [*space] or [*space, 3]: uint8 by 255, other numbers by their range.

    A `pale` one is grey and light, so that colours can be laid over it.
    """
    if image is None:
        return None
    values = image.astype(np.float64)
    if image.dtype == np.uint8:
        values /= 255
    else:
        finite = values[np.isfinite(values)]
        least, most = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
        values = np.nan_to_num((values - least) / ((most - least) or 1.0))
    if values.ndim > len(space) and (pale or values.shape[-1] != 3):
        values = values.mean(-1)
    return 0.55 + 0.45 * values if pale else values


def panels(
    figure: "Figure",
    rows: Sequence[Sequence[tuple[int, int]]],
    shown: Sequence[Span],
    *,
    least: float = 0.0,
    between: float = GAP,
) -> list["Axes"]:
    """Axes for planes (row axis, column axis), all at one scale; saving "tight" adds what stands around.

    Each has at least `least` inches to itself, and there are `between` from one row to the next.
    """
    lengths = [end - begin for begin, end in shown]
    widest = max(sum(lengths[column] for _, column in row) for row in rows)
    inch = SIDE / max(max(lengths), widest / 1.7)
    heights = [max(lengths[row] for row, _ in planes) * inch for planes in rows]
    width, height = widest * inch, sum(heights) + between * (len(rows) - 1)
    figure.set_size_inches(width, height)
    made, top = [], height
    for planes, tall in zip(rows, heights, strict=True):
        left = 0.0
        for row, column in planes:
            wide, high = lengths[column] * inch, lengths[row] * inch
            axes = figure.add_axes((left / width, (top - high) / height, wide / width, high / height))
            axes.set_xlim(*shown[column])
            axes.set_ylim(*shown[row][::-1])
            if len(shown) == 3:
                axes.set_xlabel(f"axis {column}", color=QUIET, size=8.5)
                axes.set_ylabel(f"axis {row}", color=QUIET, size=8.5)
            made.append(axes)
            left += max(wide, least) + GAP
        top -= tall + between
    return made


def outline(axes: "Axes", across: Span, down: Span, image: tuple[Span, Span], colour: str) -> None:
    """A rectangle from `across[0]` to `across[1]` and `down[0]` to `down[1]`: solid inside the image, dashed beyond.

    `image` is its columns and rows. A white edge keeps solid lines apart from any image.
    """
    lines: list[tuple[Span, Span, bool]] = []
    for y in down:
        cut = parts(across, image[0]) if image[1][0] <= y <= image[1][1] else [(across, False)]
        lines += [(piece, (y, y), inside) for piece, inside in cut]
    for x in across:
        cut = parts(down, image[1]) if image[0][0] <= x <= image[0][1] else [(down, False)]
        lines += [((x, x), piece, inside) for piece, inside in cut]
    for xs, ys, inside in lines:
        style: dict[str, Any] = {"solid_capstyle": "projecting"} if inside else {"linestyle": DASHED}
        if inside:
            axes.plot(xs, ys, color="white", alpha=0.7, linewidth=3.4, zorder=2.9, **style)
        axes.plot(xs, ys, color=colour, linewidth=1.9 if inside else 1.4, zorder=3, **style)


def parts(span: Span, limits: Span) -> list[tuple[Span, bool]]:
    """A span cut at the limits, and of each piece whether it lies between them."""
    cuts = sorted({*span, *(limit for limit in limits if span[0] < limit < span[1])})
    return [((begin, end), limits[0] <= (begin + end) / 2 <= limits[1]) for begin, end in pairwise(cuts)]


def frame(axes: "Axes") -> None:
    """Axes without grid, with a faint line around."""
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=2, labelsize=8.5, color=LINE, labelcolor=INK)


def shortened(path: str) -> str:
    """The path with its middle left out where it is long: its end says most."""
    if len(path) <= _LONGEST_PATH:
        return path
    return f"{path[: _LONGEST_PATH // 3]}…{path[-(2 * _LONGEST_PATH // 3) :]}"


def headline(axes: "Axes", title: str, note: str, above: float = 0.0) -> None:
    """A title above the axes, and under it a line in grey, `above` points higher than usual."""
    place: dict[str, Any] = {"xy": (0, 1), "xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(title, xytext=(0, 26 + above), size=12.5, parse_math=False, **place)
    axes.annotate(note, xytext=(0, 10 + above), size=9, color=QUIET, parse_math=False, **place)
