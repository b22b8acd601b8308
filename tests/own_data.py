"""Data as people have it, written from the digits: for the specs in experiments/own-data.

    python tests/own_data.py experiments/own-data

writes beside the specs `digits/`, a folder of images for each class; `pairs.csv` and `pairs/`, images of two digits
each and the labels of both; `ink.csv`, a table of numbers; and `scenes/`, images of one to three digits and their
boxes, as Ultralytics' YOLO has them. No scan is in two images of `digits/` or `pairs/`, or in two splits of `scenes/`.
"""

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from cnnlab.data.digit_scenes import load
from cnnlab.spec.generators import DigitScenes

SUMS = [*(f"row {i}" for i in range(8)), *(f"column {i}" for i in range(8))]


SIDE = 32  # of a scene
SCENES = DigitScenes(source="digit_scenes", examples=1500, size=SIDE, objects=(1, 3), scale=(1, 1.5), seed=0)


def write(folder: Path) -> None:
    """All four, into a folder that is there."""
    bunch: Any = load_digits()
    scans, digits = (bunch.images * 15.9).astype(np.uint8), bunch.target
    for i, (scan, digit) in enumerate(zip(scans, digits, strict=True)):
        save(scan, folder / "digits" / str(digit) / f"{i:04}.png")
    order = np.random.default_rng(0).permutation(len(scans))
    rows = []
    for left, right in zip(order[0::2], order[1::2], strict=False):  # 898 pairs; one scan is left
        name = f"pairs/{left:04}_{right:04}.png"
        save(np.hstack([scans[left], scans[right]]), folder / name)
        rows.append([name, "|".join(map(str, sorted({int(digits[left]), int(digits[right])})))])
    table(folder / "pairs.csv", ["file", "digits"], rows)
    sums = np.hstack([bunch.images.sum(2), bunch.images.sum(1)])
    rows = [[*values, digit] for values, digit in zip(sums.tolist(), digits.tolist(), strict=True)]
    table(folder / "ink.csv", [*SUMS, "digit"], rows)
    scenes(folder / "scenes")


def scenes(folder: Path) -> None:
    """images/train/0000.png, labels/train/0000.txt and so on, and data.yaml. A scene's group says its split."""
    data = load(SCENES, folder)
    boxes, groups = data.targets["boxes"], data.groups or ()
    assert isinstance(data.x, np.ndarray), "made in memory"
    part = dict(zip(sorted(set(groups)), ["train"] * 42 + ["val"] * 9 + ["test"] * 9, strict=True))
    for i, (pixels, objects, group) in enumerate(zip(data.x, boxes.values, groups, strict=True)):
        save(pixels[..., 0], folder / "images" / part[group] / f"{i:04}.png")
        lines = []
        for y0, x0, y1, x1, label in objects[objects[:, -1] >= 0].tolist():
            shares = ((x0 + x1) / 2 / SIDE, (y0 + y1) / 2 / SIDE, (x1 - x0) / SIDE, (y1 - y0) / SIDE)
            lines.append(f"{label:.0f} {' '.join(f'{share:.6f}' for share in shares)}\n")
        path = folder / "labels" / part[group] / f"{i:04}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8")
    names = "".join(f"  {i}: '{name}'\n" for i, name in enumerate(boxes.names))
    (folder / "data.yaml").write_text(
        f"path: .\ntrain: images/train\nval: images/val\ntest: images/test\nnames:\n{names}"
    )


def save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def table(path: Path, head: list[str], rows: list[list]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])


if __name__ == "__main__":
    write(Path(sys.argv[1]))
