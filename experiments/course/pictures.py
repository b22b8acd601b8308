"""A topic's picture from its runs. What it is stands in the head of the topic's first spec:

    # Picture: validation/loss                       a column of history.csv over the epochs, a line for each spec
    # Picture: accuracy                              a figure of metrics.json or model.json, a bar for each spec
    # Picture: accuracy over model.multiply_adds     a dot for each spec
    # Picture: eval/test/overlays.png of unet.yaml   a picture that a run has drawn

and may end with `, logarithmic`, where the curves, bars or the dots' x are to be in logarithms.
"""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cnnlab.report.style import QUIET, new_figure, png
from experiments.course.runs import Ended
from experiments.course.topics import Topic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Apart under every common colour blindness (Okabe and Ito 2008), then the same dashed.
COLOURS = ("#1f5fa8", "#e07b00", "#009e73", "#b04a86", "#22262b", "#56b4e9", "#8c6d1f")
LARGEST = 1100  # pixels, of the longer side
_LOGARITHMIC = ", logarithmic"


def draw(topic: Topic, ended: Mapping[str, Ended]) -> bytes:
    """The picture as PNG. `ended` has the runs by the specs' file names; those without the figure are left out."""
    asked = topic.first.picture or ""
    what, logarithmic = asked.removesuffix(_LOGARITHMIC), asked.endswith(_LOGARITHMIC)
    path, _, spec = what.partition(" of ")
    if spec:
        return _small((ended[spec].run / path).read_bytes())
    runs = {spec.path.stem.replace("_", " "): ended[spec.name] for spec in topic.specs}
    y, _, x = what.partition(" over ")
    with new_figure() as figure:
        figure.set_size_inches(6.4, 3.4 if x or "/" in y else 0.8 + 0.36 * len(runs))
        figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.06)
        axes = figure.subplots()
        axes.tick_params(length=0)
        if x:
            _dots(axes, runs, x, y)
        elif "/" in y:
            _curves(axes, runs, y)
        else:
            _bars(axes, runs, y)
        if logarithmic:
            along = axes.yaxis if "/" in y and not x else axes.xaxis
            (axes.set_yscale if along is axes.yaxis else axes.set_xscale)("log")
            along.set_major_formatter(lambda value, _: f"{value:g}")
            along.set_minor_formatter(lambda value, _: "")
        axes.set_title(_words(y), loc="left", size=12, pad=8)
        return _small(png(figure, tight=False))


def _curves(axes: "Axes", runs: Mapping[str, Ended], column: str) -> None:
    for k, (name, run) in enumerate(runs.items()):
        rows = [row for row in run.history() if column in row] if (run.run / "history.csv").exists() else []
        label = f"{name} (diverges)" if run.diverged else name
        points = [row["epoch"] for row in rows], [row[column] for row in rows]
        line, colour = "-" if k < len(COLOURS) else "--", COLOURS[k % len(COLOURS)]
        axes.plot(*points, label=label, color=colour, linestyle=line, linewidth=1.7)
    axes.set_xlabel("epoch")
    axes.figure.legend(loc="outside right upper", frameon=False)


def _bars(axes: "Axes", runs: Mapping[str, Ended], path: str) -> None:
    found = {name: run.figure(path) for name, run in runs.items() if not run.code}
    places = range(len(found))
    bars = axes.barh(places, list(found.values()), color=COLOURS[0], height=0.6)
    axes.bar_label(bars, [f"{value:.4g}" for value in found.values()], padding=4, color=QUIET)
    axes.set_yticks(places, list(found))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.12)


def _dots(axes: "Axes", runs: Mapping[str, Ended], x: str, y: str) -> None:
    for k, (name, run) in enumerate((name, run) for name, run in runs.items() if not run.code):
        axes.plot(run.figure(x), run.figure(y), "o", color=COLOURS[k % len(COLOURS)], label=name)
    axes.set_xlabel(_words(x))
    axes.figure.legend(loc="outside right upper", frameon=False)


def _words(path: str) -> str:
    """`model.multiply_adds` as `multiply adds`, `validation/loss` as `validation loss`."""
    return path.removeprefix("model.").replace("_", " ").replace("/", " ").replace(".", " ")


def _small(picture: bytes) -> bytes:
    """Shrunk where it is too large, and with 64 colours: a third of the bytes, and looks the same."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as image:
        if max(image.size) > LARGEST:
            image.thumbnail((LARGEST, LARGEST))
        buffer = io.BytesIO()
        image.convert("RGB").quantize(64, Image.Quantize.FASTOCTREE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
