"""The look of all pictures: an empty matplotlib figure in our style, and a figure as PNG bytes.

Drawn with the object-oriented interface and starting from matplotlib's own defaults, so that neither a display
nor a user's matplotlibrc matters, and the same input gives the same bytes. matplotlib is imported on first use.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Literal

from cnnlab.errors import CnnlabError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind = Literal["png", "svg"]
DOTS_PER_INCH = 160
# Blue and orange that stay apart under every common colour blindness, and in grey.
TRAIN, VALIDATION = "#1f5fa8", "#e07b00"
INK, QUIET = "#22262b", "#6b7280"
LINE, FAINT_LINE = "#b6bcc4", "#e3e6ea"
STYLE = {
    "font.size": 9.5,
    "text.color": INK,
    "axes.axisbelow": True,
    "axes.edgecolor": LINE,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.color": FAINT_LINE,
    "grid.linewidth": 0.7,
    "svg.hashsalt": "cnnlab",  # else names inside are drawn by chance
    "xtick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.color": LINE,
    "ytick.labelcolor": INK,
}
# DejaVu comes with matplotlib; these, where installed, have the Chinese, Japanese and Korean that it lacks.
FALLBACK_FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Micro Hei", "Microsoft YaHei", "PingFang SC")


def preload() -> None:
    """Import matplotlib in a thread of its own, half a second's work, while the device trains."""
    names = ("matplotlib.style", "matplotlib.backends.backend_agg", "matplotlib.figure", "matplotlib.colors")
    Thread(target=lambda: [import_module(name) for name in names], name="preload", daemon=True).start()


@contextmanager
def new_figure() -> Iterator["Figure"]:
    """An empty figure; draw and save it inside the block, where our style holds for this process."""
    from matplotlib import font_manager, style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    installed = {font.name for font in font_manager.fontManager.ttflist}
    families = ["DejaVu Sans", *(name for name in FALLBACK_FONTS if name in installed)]
    with style.context(["default", {**STYLE, "font.family": families}]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # it is drawn as a box, which says so
        figure = Figure(dpi=DOTS_PER_INCH)
        FigureCanvasAgg(figure)
        yield figure


def png(figure: "Figure", *, tight: bool) -> bytes:
    """The figure as PNG, without date or program name; `tight` cuts or grows it to what is drawn."""
    buffer = io.BytesIO()
    box = {"bbox_inches": "tight", "pad_inches": 0.2} if tight else {}
    figure.savefig(buffer, format="png", metadata={"Software": None}, **box)
    return buffer.getvalue()


def picture_kind(path: Path) -> Kind:
    """What a picture's file is to hold, by its ending. Raises CnnlabError for any but .png and .svg."""
    match path.suffix.lower():
        case ".png":
            return "png"
        case ".svg":
            return "svg"
    message = f"'{path.suffix}' is no kind of picture that can be drawn" if path.suffix else "no kind of picture"
    raise CnnlabError(message, where=str(path), hint="name a .png or .svg file")


def rendered(figure: "Figure", kind: Kind, *, tight: bool) -> bytes:
    """The figure as PNG or as SVG, without date; letters in an SVG are outlines, so that it looks the same anywhere."""
    if kind == "png":
        return png(figure, tight=tight)
    buffer = io.BytesIO()
    box = {"bbox_inches": "tight", "pad_inches": 0.2} if tight else {}
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, **box)
    return buffer.getvalue()
