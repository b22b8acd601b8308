"""Boxes that files say of images: what has to hold of them, and the target that they become.

They lie in the image as a person sees it, turned as its EXIF data say. So the tools do: Ultralytics takes shares of
the turned image (`exif_size` and OpenCV's imread), detectron2 turns the image before it lays COCO's boxes on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnnlab.data.dataset import Dataset, Target
from cnnlab.data.geometry import Frame, frame_of
from cnnlab.data.images import DAMAGED, open_image
from cnnlab.data.memory import check_fits
from cnnlab.data.orientation import upright_size
from cnnlab.data.problems import Problem
from cnnlab.data.progress import counted
from cnnlab.data.targets import clipped_to
from cnnlab.data.threads import pool
from cnnlab.errors import DataError
from cnnlab.spec.data import ImageFiles

SLACK = 1.001  # pixels that an edge may be outside of the image, by rounding or by counting from 1; they are cut off
LEAST = 0.01  # pixels: a side that is shorter is none
MARKS_OF_EXIF = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")  # in a PNG


class BadAnnotation(DataError):
    """Something that is wrong with what is said of an image: a kind as `data check` lists it, and the image's file."""

    def __init__(self, kind: str, file: str, message: str, *, where: str, hint: str = ""):
        super().__init__(message, where=where, hint=hint)
        self.kind, self.file = kind, file


@dataclass(frozen=True, eq=False)
class Objects:
    """What is said of one image.

    rows: float64 [object, 5], y0, x0, y1, x1 and the class, in pixels or, with `shares`, in shares of the sides.
    numbers: where each object stands, which is between `before` and `after` in messages.
    size: height and width that the image should have, where that is said; in messages that is `size_where`.
    """

    rows: np.ndarray
    numbers: Sequence[int] = ()
    before: str = ""
    after: str = ""
    shares: bool = False
    size: tuple[int, int] | None = None
    size_where: str = ""

    def where(self, k: int) -> str:
        """What messages call the object."""
        return f"{self.before}{self.numbers[k]}{self.after}"


NOTHING = Objects(np.empty((0, 5)))


def with_boxes(
    dataset: Dataset, said: Sequence[Objects], names: tuple[str, ...], root: Path, data: ImageFiles, problem: Problem
) -> Dataset:
    """The dataset with the target "boxes" in the frame that `data.resize` brings its images to, and "labels", uint8
    [example, class]: which classes have a box there, whatever crops leave of it later.

    The files of the dataset start at `root`; of those that are no images nothing is said here. What `problem` lets pass
    is left out. Raises DataError where no image has an object, and where memory is short.
    """
    frame, files = frame_of(data, 2), dataset.files or ()
    sizes = counted(pool().map(lambda file: _size(root / file), files), len(files))
    found, wrong, cut = [], [], False
    for file, objects, size in zip(files, said, sizes, strict=True):
        if size is None:
            found.append(NOTHING.rows)
            continue
        rows, errors = _checked(objects, size, names, file)
        placed = (frame or Frame(size)).placed(size)
        factors, start = np.divide(placed.scaled, size), np.array(placed.start)
        rows[:, :4] = rows[:, :4] * np.tile(factors, 2) - np.tile(start, 2)
        cut |= placed.cuts
        found.append(rows)
        wrong += errors
    tell(wrong, problem)
    boxes = _padded(found, files, data.where)
    if cut and frame is not None:
        boxes = clipped_to(boxes, frame.size)
    labels = np.zeros((len(files), len(names)), np.uint8)
    example, place = np.nonzero(boxes[..., -1] >= 0)
    labels[example, boxes[example, place, -1].astype(int)] = 1
    return replace(dataset, targets={**dataset.targets, "boxes": Target(boxes, names), "labels": Target(labels, names)})


def tell(wrong: Sequence[BadAnnotation], problem: Problem) -> None:
    """Every one of them, with their number where there are more."""
    for error in wrong:
        if len(wrong) > 1:
            more = f"annotations that are wrong: {len(wrong):,}"
            error.hint = f"{error.hint}; {more}" if error.hint else more
        problem(error)


def _padded(found: Sequence[np.ndarray], files: Sequence[str], where: str) -> np.ndarray:
    """float32 [example, object, 5]; rows of -1 fill up."""
    counts = [len(rows) for rows in found]
    most = max(counts, default=0)
    if not most:
        raise DataError("no image has an object", where=where, hint="what is said of the images is empty")
    words = f"up to {most:,} boxes of each of {len(files):,} images"
    hint = f"{files[int(np.argmax(counts))]} has the most; leave such images out"
    check_fits(20 * most * len(files), words, where=where, hint=hint)
    boxes = np.full((len(files), most, 5), -1, np.float32)
    for i, rows in enumerate(found):
        boxes[i, : len(rows)] = rows
    return boxes


def _checked(
    objects: Objects, size: tuple[int, int], names: tuple[str, ...], file: str
) -> tuple[np.ndarray, list[BadAnnotation]]:
    """The rows in pixels, those that are wrong left out, and what is wrong with these."""
    errors = []
    if objects.size is not None and objects.size != size:
        sizes = [f"{height} x {width}" for height, width in (objects.size, size)]
        message = f"the annotation says that {file} is {sizes[0]} (height x width), and it is {sizes[1]}"
        turned = objects.size == size[::-1]
        hint = "boxes lie in the image turned as its EXIF data say" if turned else "boxes would lie elsewhere"
        return NOTHING.rows, [BadAnnotation("annotation_size", file, message, where=objects.size_where, hint=hint)]
    rows = objects.rows.copy()
    if objects.shares:
        rows[:, :4] *= (*size, *size)
    good = []
    for k, row in enumerate(rows):
        kind, message, hint = _wrong(row, size, names)
        if kind:
            hint = "the numbers are shares of the image's sides, from 0 to 1" if _pixels(objects, k, kind) else hint
            errors.append(BadAnnotation(kind, file, message, where=objects.where(k), hint=hint))
        else:
            good.append(k)
    rows = rows[good]
    rows[:, :4] = np.clip(rows[:, :4], 0, (*size, *size))
    return rows, errors


def _wrong(row: np.ndarray, size: tuple[int, int], names: tuple[str, ...]) -> tuple[str, str, str]:
    """The kind of what is wrong with a box in pixels, a sentence and a way out; nothing where it is good."""
    (y0, x0, y1, x1, label), (height, width) = row.tolist(), size
    if not np.isfinite(row).all():
        return "not_finite", "the box has a number that is NaN or infinite", "numbers must be finite"
    if label not in range(len(names)):
        hint = f"classes go from 0 to {len(names) - 1}: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
        return "box_class", f"the class is {label:g}, and there are {len(names)}", hint
    if y1 - y0 < LEAST or x1 - x0 < LEAST:
        return "box_empty", f"the box is {x1 - x0:g} wide and {y1 - y0:g} high", "it must have an area"
    inside = min(y1, height) - max(y0, 0) >= LEAST and min(x1, width) - max(x0, 0) >= LEAST
    if min(y0, x0) < -SLACK or y1 > height + SLACK or x1 > width + SLACK or not inside:
        message = f"the box goes from x {x0:g} to {x1:g} and y {y0:g} to {y1:g}, and the image is {width} wide and "
        return "box_outside", f"{message}{height} high", "cut it at the image's edge"
    return "", "", ""


def _pixels(objects: Objects, k: int, kind: str) -> bool:
    """Whether numbers that should be shares look like pixels."""
    return kind == "box_outside" and objects.shares and bool((objects.rows[k, :4] > 2).any())


def _size(path: Path) -> tuple[int, int] | None:
    """Height and width as a person sees the image; None where it cannot be read."""
    try:
        if path.is_fifo():
            return None
        with path.open("rb") as file:
            image = open_image(file)
            # All of a PNG would be decoded to ask for EXIF data, that nearly none has.
            if image.format == "PNG" and not any(mark in path.read_bytes() for mark in MARKS_OF_EXIF):
                return image.height, image.width
            return upright_size(image)
    except (*DAMAGED, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None


def objects_per_class(target: Target, indices: np.ndarray) -> tuple[list[int], list[int]]:
    """Of some examples: the objects of each class, and the examples that have one."""
    labels = target.values[indices, :, -1]
    there = [labels == k for k in range(len(target.names))]
    return [int(each.sum()) for each in there], [int(each.any(1).sum()) for each in there]


def box_counts(dataset: Dataset, splits: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """By split: the objects of each class, the images that have one, and how many images have none at all; nothing
    where there are no boxes."""
    target = dataset.targets.get("boxes")
    if target is None:
        return {}
    counts = {}
    for name, indices in splits.items():
        objects, images = objects_per_class(target, indices)
        without = int((target.values[indices, :, -1] < 0).all(1).sum())
        counts[name] = {"objects": objects, "images": images, "without": without}
    return counts


def classes_without(dataset: Dataset, splits: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Notes on classes of boxes that have no object in a split, where another one has some."""
    counts = box_counts(dataset, splits)
    notes = []
    for split, of in counts.items():
        others = zip(*(other["objects"] for other in counts.values()), strict=True)
        names = zip(dataset.targets["boxes"].names, of["objects"], others, strict=True)
        lacking = [name for name, count, others in names if not count and any(others)]
        words = ", ".join(lacking[:5]) + (", ..." if len(lacking) > 5 else "")
        notes += [f"{len(lacking)} classes of boxes have no object in {split}: {words}"] if lacking else []
    return tuple(notes)


def doubled(boxes: np.ndarray) -> int:
    """How many boxes [object, 5] of an image are there a second time."""
    there = boxes[boxes[:, -1] >= 0]
    return len(there) - len(np.unique(there, axis=0))
