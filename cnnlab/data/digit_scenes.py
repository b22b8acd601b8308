"""`source: digit_scenes`: scans of real digits on larger canvases, with mask, boxes, labels and class.

Scene i follows from (seed, i) alone. Its digits come from pool i modulo 60 of the scans, and the pool is its group,
which splits keep together: no scan is in two splits, so that a test measures digits that were never seen.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cnnlab.data import digits
from cnnlab.data.dataset import Dataset, Target
from cnnlab.data.memory import check_fits
from cnnlab.errors import DataError, did_you_mean
from cnnlab.spec.data import Digits
from cnnlab.spec.generators import DigitScenes

POOLS = 60  # of 30 scans, three of each digit or nearly: few enough for variety, enough for any shares of a split
LIT = 64  # of 255: a fainter pixel is not drawn, so that mask, boxes and pixels agree
ATTEMPTS = 100


@dataclass(frozen=True, eq=False)
class Piece:
    """A digit of a scene: its scan's number among the 1,797, its class, its brightness [side, side] from 0 to 1
    (0 where it has no lit pixel), and the canvas's row and column where that begins."""

    scan: int
    digit: int
    brightness: np.ndarray
    top: int
    left: int

    @property
    def where(self) -> tuple[slice, slice]:
        """The part of the canvas that it covers."""
        height, width = self.brightness.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def load(data: DigitScenes, base: Path) -> Dataset:
    """uint8 [example, size, size, 1]; y is the class of the digit with the most pixels to be seen, the first of equals.

    Targets: "mask", 0 is the background; "boxes" around the pixels to be seen, in the order in which digits were laid
    down; "labels", which digits occur. `data.classes` leaves only these digits in. Raises DataError.
    """
    count, size, most = data.examples, data.size, data.objects[1]
    words = f"{count:,} scenes of {size} x {size}"
    check_fits(count * 2 * size**2, words, where=data.where, hint="make data.examples or data.size smaller")
    scans = digits.load(Digits(source="digits"), base)
    classes = data.classes or scans.classes
    for name in classes:
        if name not in scans.classes:
            raise DataError(f"data.classes: no digit '{name}'", where=data.where, hint=did_you_mean(name, classes))
    pools = _pools(scans, classes)
    x = np.empty((count, size, size, 1), np.uint8)
    y, mask = np.empty(count, np.int32), np.zeros((count, size, size), np.uint8)
    boxes = np.full((count, most, 5), -1, np.float32)
    labels = np.zeros((count, len(classes)), np.uint8)
    for i in range(count):
        random = np.random.Generator(np.random.Philox(key=[data.seed, i]))
        found = pieces(data, scans.x[..., 0], pools[i % POOLS], random)
        x[i, ..., 0] = _paint(data, found, random)
        owner = _owner(size, found)
        for k, piece in enumerate(found):
            seen = owner == k
            rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
            boxes[i, k] = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1, piece.digit
            mask[i][seen] = piece.digit + 1
            labels[i, piece.digit] = 1
        y[i] = found[int(np.bincount(owner[owner >= 0]).argmax())].digit
    targets = {
        "mask": Target(mask, ("background", *classes)),
        "boxes": Target(boxes, classes),
        "labels": Target(labels, classes),
    }
    groups = tuple(f"pool {i % POOLS}" for i in range(count))
    return Dataset(x, y, classes, source=data.source, groups=groups, targets=targets)


def _pools(scans: Dataset, classes: tuple[str, ...]) -> list[list[tuple[int, int]]]:
    """(scan, its class in `classes`) of each pool; every class's scans are dealt round in their order."""
    pools: list[list[tuple[int, int]]] = [[] for _ in range(POOLS)]
    for label, name in enumerate(classes):
        for k, scan in enumerate(np.flatnonzero(scans.y == scans.classes.index(name)).tolist()):
            pools[k % POOLS].append((scan, label))
    return pools


def pieces(
    data: DigitScenes, scans: np.ndarray, pool: list[tuple[int, int]], random: np.random.Generator
) -> list[Piece]:
    """The digits of one scene, the one on top last. Where they find no place, all are drawn anew.

    scans: [1797, 8, 8] from 0 to 1. DataError where they never fit.
    """
    for _ in range(ATTEMPTS):
        found: list[Piece] = []
        free = np.ones((data.size, data.size), bool)  # of other digits' boxes
        for _ in range(random.integers(data.objects[0], data.objects[1], endpoint=True)):
            scan, digit = pool[random.integers(len(pool))]
            side = round(8 * random.uniform(*data.scale))
            brightness = _drawn(scans[scan], side) * random.uniform(0.6, 1)
            height, width = brightness.shape
            places = np.argwhere(_windows(free, height, width))
            if not len(places):
                break
            top, left = places[random.integers(len(places))].tolist()
            found.append(Piece(scan, digit, brightness, top, left))
            free[found[-1].where] = data.overlap
        else:
            if not data.overlap or _visible(data.size, found):
                return found
    message = f"{data.objects[1]} digits of up to {round(8 * data.scale[1])} pixels find no place in {data.size}"
    hint = "give fewer data.objects, a smaller data.scale or a larger data.size"
    raise DataError(message, where=data.where, hint=hint)


def _drawn(scan: np.ndarray, side: int) -> np.ndarray:
    """[8, 8] from 0 to 1 -> the smallest rectangle of [side, side] with all lit pixels, the others 0."""
    image = Image.fromarray(np.round(255 * scan).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    lit = pixels >= LIT
    rows, columns = np.flatnonzero(lit.any(1)), np.flatnonzero(lit.any(0))
    pixels = np.where(lit, pixels, 0)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return pixels / 255


def _windows(free: np.ndarray, height: int, width: int) -> np.ndarray:
    """bool [rows, columns]: where a window of this size may begin so that all of it is free."""
    total = np.pad(np.cumsum(np.cumsum(free, 0), 1), ((1, 0), (1, 0)))
    inside = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    return inside == height * width


def _owner(size: int, found: list[Piece]) -> np.ndarray:
    """int [size, size]: which of the pieces is seen at each pixel, -1 where none is."""
    owner = np.full((size, size), -1)
    for k, piece in enumerate(found):
        owner[piece.where][piece.brightness > 0] = k
    return owner


def _visible(size: int, found: list[Piece]) -> bool:
    """Whether half of every piece's pixels can be seen."""
    owner = _owner(size, found)
    return all(2 * (owner == k).sum() >= (piece.brightness > 0).sum() for k, piece in enumerate(found))


def _paint(data: DigitScenes, found: list[Piece], random: np.random.Generator) -> np.ndarray:
    """uint8 [size, size]: the pieces on the background, and noise."""
    background = random.uniform(*data.background)
    canvas = np.full((data.size, data.size), background)
    for piece in found:
        part, lit = canvas[piece.where], piece.brightness > 0
        part[lit] = (background + (1 - background) * piece.brightness)[lit]
    canvas += data.noise * random.normal(size=canvas.shape)
    return np.round(255 * canvas.clip(0, 1)).astype(np.uint8)
