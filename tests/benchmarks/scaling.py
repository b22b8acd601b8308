"""How cost grows: images/s over batch and image size, memory over depth with and without recomputing activations.

Writes scaling.png beside this file; `tables` gives the same figures as lines of Markdown.
"""

import gc
import sys
from pathlib import Path
from typing import Any

import numpy as np
from cases import Case
from speed import Worker, figure
from speed_cnnlab import experiment_of, milliseconds, program_of, works

from cnnlab.cli.process import keep_memory
from cnnlab.report.style import QUIET, TRAIN, VALIDATION, new_figure, png

PICTURE = Path(__file__).with_name("scaling.png")
SECONDS = 1.0
BATCHES = (1, 4, 16, 64, 256, 1024)
SIDES = (32, 64, 128, 256, 512)
DEVICES = (1, 2, 4, 8)
DEPTHS = (20, 32, 44, 56, 110)
LENET, RESNET = {"name": "lenet5"}, {"name": "resnet18", "stem": "small"}
Curve = dict[int, float]


def images_per_second(case: Case, mode: str) -> float:
    work = works(case, experiment_of(case))[mode]
    found = case.batch / milliseconds(work, SECONDS) * 1e3
    gc.collect()
    return found


def over_batches() -> dict[str, Curve]:
    """Images/s by the number of images in a step."""
    nets: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
        "LeNet-5": (LENET, (32, 32, 1)),
        "ResNet-18, 32x32": (RESNET, (32, 32, 3)),
    }
    return {
        f"{name}, {word}": {n: images_per_second(Case(name, model, n, shape, 10), mode) for n in BATCHES}
        for name, (model, shape) in nets.items()
        for mode, word in (("train", "training"), ("eval", "inference"))
    }


def over_sides() -> dict[str, Curve]:
    """Images/s of ResNet-18, four in a step, by the side of the image."""
    model = {"name": "resnet18"}
    return {
        f"ResNet-18, {word}": {n: images_per_second(Case("", model, 4, (n, n, 3), 1000), mode) for n in SIDES}
        for mode, word in (("train", "training"), ("eval", "inference"))
    }


def over_depths() -> dict[str, Curve]:
    """MB that a training step of ResNets for 32x32 takes beside weights and batch (64), as XLA lays it out."""
    found: dict[str, Curve] = {"activations kept": {}, "activations recomputed": {}}
    for (name, curve), recomputed in zip(found.items(), (False, True), strict=True):
        for depth in DEPTHS:
            case = Case(name, {"name": f"resnet{depth}"}, 64, (32, 32, 3), 10)
            made, _ = program_of(case, experiment_of(case, remat=recomputed))
            batch = (np.zeros((64, 32, 32, 3), np.uint8), np.zeros(64, np.int32), np.ones(64, bool), np.arange(64))
            compiled = made.first.one.lower(made.initial_state, *batch).compile()
            curve[depth] = compiled.memory_analysis().temp_size_in_bytes / 1e6
    return found


def over_devices() -> dict[str, Curve]:
    """Images/s of training over devices that XLA makes out of the same cores, which share each batch."""
    nets, found = {"LeNet-5": 128, "ResNet-18 CIFAR": 64}, {}
    for name, batch in nets.items():
        for kernels in ("on", "off"):
            curve = found[f"{name}, kernels {kernels}"] = {}
            for n in DEVICES:
                flags = f"--xla_force_host_platform_device_count={n}"
                worker = Worker(sys.executable, "speed_cnnlab.py", XLA_FLAGS=flags, CNNLAB_KERNELS=kernels)
                taken = worker.ask(name=name, mode="train", precision="float32", seconds=SECONDS)
                curve[n] = batch / taken * 1e3
                worker.close()
    return found


def rows(head: str, curves: dict[str, Curve]) -> list[str]:
    points = list(next(iter(curves.values())))
    lines = [f"| {head} | {' | '.join(map(str, points))} |", f"|---|{'---|' * len(points)}"]
    return lines + [f"| {name} | {' | '.join(figure(curve[n]) for n in points)} |" for name, curve in curves.items()]


def picture(panels: dict[tuple[str, str], dict[str, Curve]]) -> bytes:
    colours = {"training": TRAIN, "inference": VALIDATION, "kept": TRAIN, "recomputed": VALIDATION}
    with new_figure() as figure:
        figure.set_size_inches(11, 3.6)
        figure.set_layout_engine("constrained", w_pad=0.12)
        for axes, ((title, below), curves) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
            for i, (name, curve) in enumerate(curves.items()):
                colour = next(colour for word, colour in colours.items() if name.endswith(word))
                dashed = "--" if i > 1 else "-"
                axes.plot(list(curve), list(curve.values()), dashed, color=colour, marker="o", markersize=4, label=name)
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xticks(list(curve), [str(n) for n in curve])
            axes.minorticks_off()
            axes.set_title(title, loc="left", size=11)
            axes.set_xlabel(below, color=QUIET)
            axes.legend(frameon=False, fontsize=8)
        return png(figure, tight=False)


def tables() -> list[str]:
    """Measures all, draws the picture, and gives the tables."""
    batches, sides, depths = over_batches(), over_sides(), over_depths()
    panels = {("images/s", "images in a step"): batches, ("images/s", "side of the image, 4 in a step"): sides}
    PICTURE.write_bytes(picture({**panels, ("MB a step", "layers"): depths} | panels))
    lines = rows("images/s by images in a step", batches)
    lines += ["", *rows("images/s by side of the image, 4 in a step", sides)]
    lines += ["", *rows("images/s by devices on the same cores", over_devices())]
    return [*lines, "", *rows("MB of activations by layers (ResNet for 32x32, 64 images)", depths)]


if __name__ == "__main__":
    keep_memory()
    print("\n".join(tables()))
