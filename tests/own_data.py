"""Data as people have it, written from the digits: for the specs in experiments/own-data.

    python tests/own_data.py experiments/own-data

writes beside the specs `digits/`, a folder of images for each class; `pairs.csv` and `pairs/`, images of two digits
each and the labels of both; and `ink.csv`, a table of numbers. No scan is in two images of a folder.
"""

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

SUMS = [*(f"row {i}" for i in range(8)), *(f"column {i}" for i in range(8))]


def write(folder: Path) -> None:
    """All three, into a folder that is there."""
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


def save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def table(path: Path, head: list[str], rows: list[list]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])


if __name__ == "__main__":
    write(Path(sys.argv[1]))
