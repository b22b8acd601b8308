"""Images with boxes, written as people have them: by the formats' own definitions, not by what reads them."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from cnnlab.data.dataset import Dataset
from cnnlab.errors import DataError

NAMES = ("cat", "dog", "cow")
Box = tuple[float, float, float, float, int]  # y0, x0, y1, x1 in pixels, and the class
Scenes = Mapping[str, tuple[tuple[int, int], Sequence[Box]]]  # by file: height and width, boxes


def write_images(folder: Path, scenes: Scenes) -> None:
    """Every image another one: noise."""
    for seed, (name, (size, _)) in enumerate(scenes.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)


def write_yolo(folder: Path, scenes: Scenes) -> None:
    """A text file for each image: class, centre and sides in shares of the image's."""
    for name, ((height, width), boxes) in scenes.items():
        path = (folder / name).with_suffix(".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            f"{label} {(x0 + x1) / 2 / width!r} {(y0 + y1) / 2 / height!r} {(x1 - x0) / width!r} {(y1 - y0) / height!r}"
            for y0, x0, y1, x1, label in boxes
        ]
        path.write_text("".join(line + "\n" for line in lines))


def coco(scenes: Scenes) -> dict:
    """images, annotations, categories, with ids that are no places."""
    images, annotations = [], []
    for i, (name, ((height, width), boxes)) in enumerate(scenes.items()):
        images.append({"id": 100 + 7 * i, "file_name": name, "height": height, "width": width})
        for y0, x0, y1, x1, label in boxes:
            bbox = [x0, y0, x1 - x0, y1 - y0]
            entry = {"id": len(annotations), "image_id": 100 + 7 * i, "category_id": 3 * label + 1, "bbox": bbox}
            annotations.append({**entry, "iscrowd": 0, "area": 1.0, "segmentation": [[x0, y0, x1, y0, x1, y1]]})
    categories = [{"id": 3 * k + 1, "name": name, "supercategory": "animal"} for k, name in enumerate(NAMES)]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories[::-1]}


def write_coco(path: Path, scenes: Scenes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(coco(scenes)))


def write_voc(folder: Path, scenes: Scenes) -> None:
    """An XML file for each image; pixels count from 1, and the last one is inside."""
    for name, ((height, width), boxes) in scenes.items():
        objects = "".join(
            f"<object><name>{NAMES[label]}</name><difficult>0</difficult>"
            f"<bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>"
            "<part><name>tail</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
            "</object>\n"
            for y0, x0, y1, x1, label in boxes
        )
        size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
        path = (folder / name).with_suffix(".xml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<annotation><filename>{name}</filename>{size}\n{objects}</annotation>\n")


SCENES: Scenes = {
    "a.png": ((30, 40), [(2, 4, 12, 24, 0), (10.5, 0, 30, 8.25, 2)]),
    "b.png": ((20, 20), [(0, 0, 20, 20, 1)]),
    "c.png": ((24, 16), []),
    "d.png": ((9, 9), [(1, 1, 3, 3, 0), (1, 4, 3, 6, 0), (4, 1, 7, 8, 1)]),
}


def rows(boxes: np.ndarray) -> list[list[float]]:
    """Of an example's boxes [object, 5] those that are there."""
    return [row.tolist() for row in boxes if row[-1] >= 0]


def holds_or_is_a_sentence(read: Callable[[], Dataset], side: int) -> None:
    """Whatever files hold, boxes have areas inside of the images of this side, or a DataError says what is wrong."""
    with suppress(DataError):
        found = read().targets["boxes"].values
        there = found[found[..., -1] >= 0]
        assert (there[:, :2] < there[:, 2:4]).all()
        assert (there[:, :4] >= 0).all()
        assert (there[:, :4] <= side).all()
