"""Boxes in the rows of a table: an image has a row for each of its objects."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from cnnlab.data.boxes import Objects
from cnnlab.data.problems import Problem
from cnnlab.errors import DataError
from cnnlab.spec.boxes import BoxColumns

Row = Mapping[str, str]


def sorted_names(names: Collection[str]) -> tuple[str, ...]:
    """In order, as numbers where all are."""
    if all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def boxes_of_rows(
    places: Sequence[str], rows: Sequence[Row], image: str, columns: BoxColumns, where: str, problem: Problem
) -> tuple[list[Row], list[Objects], tuple[str, ...]]:
    """Of each image the first row and its boxes; the names of the classes, sorted.

    places: of the rows, such as "line 3"; image: the column of the images. What `problem` lets pass is left out: rows
    that say of the same image something else than its first one.
    """
    names = sorted_names({row[columns.label] for row in rows} - {""})
    number = {name: i for i, name in enumerate(names)}
    first: dict[str, tuple[str, Row]] = {}
    boxes: dict[str, list[list[float]]] = {}
    numbers: dict[str, list[int]] = {}
    edges = (columns.y0, columns.x0, columns.y1, columns.x1)
    of_image = [name for name in rows[0] if name not in (*edges, columns.label)]
    wrong = []
    for place, row in zip(places, rows, strict=True):
        file = row[image]
        before, one = first.setdefault(file, (place, row))
        other = next((name for name in of_image if row[name] != one[name]), None)
        if other is not None:
            wrong.append(f"{place}: {other} is {row[other][:80]!r} of {file}, and {one[other][:80]!r} in {before}")
            continue
        found, lines = boxes.setdefault(file, []), numbers.setdefault(file, [])
        if row[columns.label]:
            found.append([*(float(row[name]) for name in edges), number[row[columns.label]]])
            lines.append(int(place.split()[-1]))
    for words in wrong:
        problem(
            DataError(words, where=where, hint=f"an image has one value in all of its rows; bad rows: {len(wrong):,}")
        )
    before = f"{where}: {places[0].split()[0]} "
    said = [Objects(np.array(boxes[file], np.float64).reshape(-1, 5), numbers[file], before) for file in first]
    return [row for _, row in first.values()], said, names
