"""Boxes in the rows of a table."""

import csv
from pathlib import Path

import numpy as np
import pytest

from cnnlab.data.dataset import load
from cnnlab.errors import DataError
from cnnlab.spec.boxes import BoxColumns
from cnnlab.spec.data import Csv
from tests.data.boxed import NAMES, SCENES, rows, write_images

HEAD = ["file", "width", "left", "top", "right", "bottom", "kind", "split", "scene"]
COLUMNS = BoxColumns(x0="left", y0="top", x1="right", y1="bottom", label="kind")


def lines() -> list[list]:
    """A row a box, and one with empty cells for the image that has none; its rows are not side by side."""
    made = []
    for i, (name, ((_, width), boxes)) in enumerate(SCENES.items()):
        split = "test" if i == 3 else "train"
        for y0, x0, y1, x1, label in boxes:
            made.append([name, width, x0, y0, x1, y1, NAMES[label], split, i % 2])
        if not boxes:
            made.append([name, width, "", "", "", "", "", split, i % 2])
    return made[::2] + made[1::2]


def read(place: Path, table: list[list], **keys):
    write_images(place, SCENES)
    with (place / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEAD, *table])
    spec = Csv(source="csv", path="table.csv", images="file", boxes=COLUMNS, resize=(12, 8), **keys)
    return load(spec, place)


def test_rows_of_an_image_are_its_objects(tmp_path):
    data = read(tmp_path, lines(), split_column="split")
    assert (data.classes, set(data.files or ())) == ((), set(SCENES))
    assert data.targets["boxes"].names == ("cat", "cow", "dog")
    for i, name in enumerate(data.files or ()):
        size, boxes = SCENES[name]
        factors = np.array([*np.divide((12, 8), size)] * 2)
        expected = {(*np.multiply(box[:4], factors), ("cat", "cow", "dog").index(NAMES[box[4]])) for box in boxes}
        found = rows(data.targets["boxes"].values[i])
        assert sorted(found) == [pytest.approx(box) for box in sorted(expected)]
    assert data.notes == ("table.csv: 1 of 4 images have no box: there are no objects in them",)
    assert [data.name(i) for i in data.given["test"]] == ["d.png"]


def test_an_image_may_have_a_class_too(tmp_path):
    data = read(tmp_path, lines(), labels="scene")
    assert (data.classes, sorted(zip(data.files or (), data.y.tolist(), strict=True))) == (
        ("0", "1"), [("a.png", 0), ("b.png", 1), ("c.png", 0), ("d.png", 1)],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("column", "cell", "sentence"),
    [
        (4, "x", "table.csv: line 2: 'x' in the column 'right' is no finite number of 32 bits; bad rows: 1 of 7"),
        (4, "", "table.csv: line 2: the cell of the column 'right' is empty; bad rows: 1 of 7"),
        (6, "", "table.csv: line 2: the cell of the column 'kind' is empty; bad rows: 1 of 7"),
        (5, "nan", "table.csv: line 2: the cell of the column 'bottom' is NaN; bad rows: 1 of 7"),
        (4, "4.0", "table.csv: line 2: the box is 0 wide and 10 high; it must have an area"),
        (4, "400", "table.csv: line 2: the box goes from x 4 to 400 and y 2 to 12, and the image is 40 wide and 30 "
                   "high; cut it at the image's edge"),
        (7, "test", "table.csv: line 6: split is 'train' of a.png, and 'test' in line 2; an image has one value in "
                    "all of its rows; bad rows: 1"),
        (0, "e.png", "table.csv: line 2: no file 'e.png'; bad rows: 1 of 7"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_named(tmp_path, column, cell, sentence):
    table = lines()
    table[0][column] = cell
    with pytest.raises(DataError) as error:
        read(tmp_path, table, split_column="split")
    assert str(error.value) == sentence


def test_images_of_bad_boxes_are_skipped(tmp_path):
    table = lines()
    table[0][4] = "400"
    data = read(tmp_path, table, on_bad_file="skip")
    assert set(data.files or ()) == {"b.png", "c.png", "d.png"}
    assert list(data.skipped) == ["a.png"]
