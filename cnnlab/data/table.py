"""`source: csv`: a table, CSV or Parquet, with a row for each example: an image file or numbers, and what to learn."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cnnlab.data.bad_files import with_pixels, without_bad_annotations
from cnnlab.data.boxed_table import boxes_of_rows, sorted_names
from cnnlab.data.boxes import with_boxes
from cnnlab.data.dataset import Dataset, Target, find
from cnnlab.data.geometry import Frame, frame_of
from cnnlab.data.groups import check_given
from cnnlab.data.masks import read_masks
from cnnlab.data.problems import Problem, stop
from cnnlab.data.rows import read_rows
from cnnlab.errors import DataError
from cnnlab.spec.boxes import BoxColumns
from cnnlab.spec.data import Csv

SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
EMPTY = ("", "nan")
NO, YES = ("0", "0.0", "false"), ("1", "1.0", "true")
KEYS = ("images", "features", "labels", "values", "masks", "boxes", "split_column", "group_column")

Row = Mapping[str, str]


def load(data: Csv, base: Path) -> Dataset:
    """All examples in the order of the rows: uint8 [example, height, width, channels], or float32 [example, feature].

    Classes are the labels of one column, sorted, as numbers where all are. Targets: "labels" of several columns of
    0 and 1, or of cells with a separator; "values"; "mask"; "boxes" of columns, and the "labels" that have one. Raises
    DataError; it names the first bad row and counts them all.
    """
    rows: list[Row] = []

    def with_rows(data: Csv, base: Path, problem: Problem) -> Dataset:
        dataset, found = _listed(data, base, problem)
        rows.extend(found)
        return dataset

    dataset = without_bad_annotations(with_rows, data, base)
    if data.images is None:
        return dataset
    root, folder = find(data.path, base).parent, str(Path(data.path).parent)
    dataset = with_pixels(dataset, root, data, folder, base)
    if data.masks is None:
        return dataset
    mask_of = {row[data.images]: row[data.masks] for row in rows}
    files = dataset.files or ()
    masks, images = [root / mask_of[file] for file in files], [root / file for file in files]
    names = [f"{folder}/{mask_of[file]}" for file in files]
    mask = read_masks(masks, images, names, frame_of(data, 2) or Frame(dataset.x.shape[1:3]), data, data.path)
    return replace(dataset, targets={"mask": mask, **dataset.targets})


def listed(data: Csv, base: Path, problem: Problem = stop) -> Dataset:
    """`load`'s dataset before any image or mask is opened: x of images is [example, 0]. What `problem` lets pass is
    left out."""
    return _listed(data, base, problem)[0]


def _listed(data: Csv, base: Path, problem: Problem) -> tuple[Dataset, list[Row]]:
    path, where = find(data.path, base), data.path
    columns = {key: _names(getattr(data, key)) for key in KEYS if getattr(data, key)}
    places, rows = _good_rows(data, path, columns, where, problem)
    said, names = [], ()
    if data.boxes is not None and data.images is not None:
        rows, said, names = boxes_of_rows(places, rows, data.images, data.boxes, where, problem)
    given = _given(rows, data.split_column, where) if data.split_column else {}
    groups = tuple(row[data.group_column] for row in rows) if data.group_column else None
    if groups:
        check_given(groups, given, where)
    files, targets = None, {}
    if data.images is not None:
        files = tuple(row[data.images] for row in rows)
        x = np.empty((len(files), 0), np.uint8)
    else:
        x = _numbers(rows, columns["features"])
    if data.values is not None:
        targets["values"] = Target(_numbers(rows, columns["values"]), tuple(columns["values"]))
    y, classes = np.zeros(len(rows), np.int32), ()
    if data.label_separator is not None or isinstance(data.labels, tuple):
        targets["labels"] = _several(rows, columns["labels"], data.label_separator)
    elif data.labels is not None:
        labels = [row[data.labels] for row in rows]
        classes = sorted_names(set(labels))
        place = {name: i for i, name in enumerate(classes)}
        y = np.array([place[label] for label in labels], np.int32)
    dataset = Dataset(x, y, classes, files, given, source=data.source, groups=groups, targets=targets)
    if data.boxes is not None:
        if empty := sum(not objects.numbers for objects in said):
            note = f"{where}: {empty:,} of {len(said):,} images have no box: there are no objects in them"
            dataset = replace(dataset, notes=(note,))
        dataset = with_boxes(dataset, said, names, path.parent, data, problem)
        dataset = replace(dataset, targets={**dataset.targets, **targets})  # labels of columns go before those of boxes
    return dataset, rows


def _names(value: str | tuple[str, ...] | BoxColumns) -> list[str]:
    if isinstance(value, BoxColumns):
        return list(value.model_dump().values())
    return [value] if isinstance(value, str) else list(value)


def _given(rows: Sequence[Row], column: str, where: str) -> dict[str, np.ndarray]:
    splits = np.array([SPLITS[row[column].lower()] for row in rows])
    given = {name: np.flatnonzero(splits == name) for name in SPLITS.values() if name in splits}
    if "train" not in given:
        raise DataError(f"no row is train in the column '{column}'", where=where, hint=f"there are {', '.join(given)}")
    return given


def _numbers(rows: Sequence[Row], columns: list[str]) -> np.ndarray:
    """float32 [row, column]."""
    return np.array([[float(row[name]) for name in columns] for row in rows], np.float32)


def _several(rows: Sequence[Row], columns: list[str], separator: str | None) -> Target:
    """uint8 [row, label]: the columns as they are, or the labels of one column's cells, sorted."""
    if separator is None:
        values = [[row[name].lower() in YES for name in columns] for row in rows]
        return Target(np.array(values, np.uint8), tuple(columns))
    found = [_parts(row[columns[0]], separator) for row in rows]
    names = sorted_names({name for labels in found for name in labels})
    return Target(np.array([[name in labels for name in names] for labels in found], np.uint8), names)


def _parts(cell: str, separator: str) -> set[str]:
    """The labels of a cell; one that is empty has none."""
    return {part.strip() for part in cell.split(separator)} - {""}


def _good_rows(
    data: Csv, path: Path, columns: dict[str, list[str]], where: str, problem: Problem
) -> tuple[list[str], list[Row]]:
    """The place of each row, and the cells of the wanted columns, stripped."""
    rows: list[Row] = []
    kept: list[str] = []
    wrong: list[str] = []
    places: dict[str, str] = {}
    for place, cells, width in read_rows(path, columns, where):
        words = f"{len(cells)} cells, and the header has {width}" if len(cells) != width else ""
        row = {} if words else {name: cells[name].strip() for names in columns.values() for name in names}
        words = words or _problem(row, data, columns, path.parent)
        if not words and data.images is not None and data.boxes is None:
            first = places.setdefault(_resolved(path.parent / row[data.images]), place)
            words = f"{row[data.images]!r} stands in {first} already" if first != place else ""
        if words:
            wrong.append(f"{place}: {words}")
        else:
            rows.append(row)
            kept.append(place)
    for words in wrong:
        problem(DataError(words, where=where, hint=f"bad rows: {len(wrong):,} of {len(wrong) + len(rows):,}"))
    if not rows:
        raise DataError("no row below the header", where=where, hint="a row for every example")
    return kept, rows


def _resolved(path: Path) -> str:
    """The file behind links, also where they go in a circle or the name cannot be one."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return str(path)


def _problem(row: Row, data: Csv, columns: dict[str, list[str]], folder: Path) -> str:
    """What is wrong with a row, or nothing."""
    of_box = columns.get("boxes", [])
    absent = [] if any(row[name] for name in of_box) else of_box  # the image has no object
    may_be_empty = absent + (columns["labels"] if data.label_separator else [])
    for name, cell in row.items():
        if cell.lower() in EMPTY and not (cell == "" and name in may_be_empty):
            return f"the cell of the column '{name}' is {'NaN' if cell else 'empty'}"
    if data.split_column and row[data.split_column].lower() not in SPLITS:
        return f"the split '{row[data.split_column]}' is none of {', '.join(SPLITS)}"
    edges = [] if absent else of_box[:4]
    for name in (*columns.get("features", ()), *columns.get("values", ()), *edges):
        if not _is_number(row[name]):
            return f"{row[name][:200]!r} in the column '{name}' is no finite number of 32 bits"
    if isinstance(data.labels, tuple):
        for name in data.labels:
            if row[name].lower() not in (*NO, *YES):
                return f"{row[name][:200]!r} in the column '{name}' is neither 0 nor 1"
    for key in ("images", "masks") if data.on_bad_file == "error" else ("masks",):  # skipped when it is opened
        for name in columns.get(key, ()):
            if not _is_file(folder, row[name]):
                return f"no file {row[name][:200]!r}"
    return ""


def _is_number(cell: str) -> bool:
    try:
        return abs(float(cell)) <= float(np.finfo(np.float32).max)
    except ValueError:
        return False


def _is_file(folder: Path, name: str) -> bool:
    try:
        return (folder / name).is_file()
    except (OSError, ValueError):  # a name that is too long, or with a zero byte
        return False
