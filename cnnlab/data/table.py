"""`source: csv`: a table, CSV or Parquet, with a row for each image: its file, its class, maybe its split and group."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cnnlab.data.dataset import Dataset, find
from cnnlab.data.groups import check_given
from cnnlab.data.load_images import load_images
from cnnlab.errors import DataError, did_you_mean
from cnnlab.spec.data import Csv

SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
EMPTY = ("", "nan")


def load(data: Csv, base: Path) -> Dataset:
    """All images in the order of the rows, uint8 [example, height, width, channels].

    Classes are the labels, sorted, as numbers where all are. Raises DataError; it names the first bad row and
    counts them all.
    """
    path, where = find(data.path, base), data.path
    keys = [key for key in ("images", "labels", "split_column", "group_column") if getattr(data, key)]
    rows = _good_rows(path, {key: getattr(data, key) for key in keys}, where)
    labels = [row["labels"] for row in rows]
    classes = _sorted(set(labels))
    files = tuple(row["images"] for row in rows)
    given = {}
    if data.split_column:
        splits = np.array([SPLITS[row["split_column"].lower()] for row in rows])
        given = {name: np.flatnonzero(splits == name) for name in SPLITS.values() if name in splits}
        if "train" not in given:
            message = f"no row is train in the column '{data.split_column}'"
            raise DataError(message, where=where, hint=f"there are {', '.join(given)}")
    groups = tuple(row["group_column"] for row in rows) if data.group_column else None
    if groups:
        check_given(groups, given, where)
    x = load_images(path.parent, files, data, data.resize, str(Path(where).parent), base)
    place = {name: i for i, name in enumerate(classes)}
    y = np.array([place[label] for label in labels], np.int32)
    return Dataset(x, y, classes, files, given, source=data.source, groups=groups)


def _sorted(labels: set[str]) -> tuple[str, ...]:
    if all(label.isdecimal() for label in labels):
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    return tuple(sorted(labels))


def _good_rows(path: Path, columns: dict[str, str], where: str) -> list[dict[str, str]]:
    """The cells of the wanted columns by the spec's keys, stripped, a dictionary for each row."""
    rows: list[dict[str, str]] = []
    wrong: list[str] = []
    places: dict[Path, str] = {}
    read = _parquet_rows if path.suffix.lower() == ".parquet" else _csv_rows
    for place, cells, width in read(path, columns, where):
        problem = f"{len(cells)} cells, and the header has {width}" if len(cells) != width else ""
        row = {} if problem else {key: cells[name].strip() for key, name in columns.items()}
        problem = problem or _problem(row, columns, path.parent)
        if not problem:
            first = places.setdefault((path.parent / row["images"]).resolve(), place)
            problem = f"{row['images']!r} stands in {first} already" if first != place else ""
        if problem:
            wrong.append(f"{place}: {problem}")
        rows.append(row)
    if wrong:
        raise DataError(wrong[0], where=where, hint=f"bad rows: {len(wrong):,} of {len(rows):,}")
    if not rows:
        raise DataError("no row below the header", where=where, hint="a row for every image")
    return rows


def _problem(row: dict[str, str], columns: dict[str, str], folder: Path) -> str:
    """What is wrong with a row, or nothing."""
    for key, cell in row.items():
        if cell.lower() in EMPTY:
            return f"the cell of the column '{columns[key]}' is {'NaN' if cell else 'empty'}"
    split = row.get("split_column", "train")
    if split.lower() not in SPLITS:
        return f"the split '{split}' is none of {', '.join(SPLITS)}"
    try:
        there = (folder / row["images"]).is_file()
    except (OSError, ValueError):  # a name that is too long, or with a zero byte
        there = False
    return "" if there else f"no file {row['images'][:200]!r}"


def _csv_rows(path: Path, columns: dict[str, str], where: str) -> Iterator[tuple[str, dict[str, str], int]]:
    """Each row's line, its cells by column, and the number of columns; rows without any cell are left out."""
    if path.is_dir():
        raise DataError(f"{path.name} is a folder, and a table is wanted", where=where, hint="name a .csv file")
    try:
        text = path.read_bytes().decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = [name.strip() for name in next(reader, [])]
        _check_header(header, columns, where)
        for cells in reader:
            if cells:
                names = header + [f"column {i}" for i in range(len(header), len(cells))]
                yield f"line {reader.line_num}", dict(zip(names, cells, strict=False)), len(header)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"cannot be read: {error}", where=where, hint="a table is text in UTF-8, with commas"
        ) from error


def _parquet_rows(path: Path, columns: dict[str, str], where: str) -> Iterator[tuple[str, dict[str, str], int]]:
    """As `_csv_rows`, with what the cells hold written as text: nothing as an empty cell."""
    try:
        import pyarrow  # type: ignore[import-not-found]
        import pyarrow.parquet  # type: ignore[import-not-found]
    except ImportError:
        raise DataError(
            "pyarrow reads Parquet, and it is not installed", where=where, hint="pip install pyarrow"
        ) from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _check_header(file.schema_arrow.names, columns, where)
            found = file.read(columns=sorted(set(columns.values()))).to_pydict()
    except (pyarrow.ArrowException, OSError) as error:
        hint = "copy or write the file again"
        raise DataError(f"cannot be read as Parquet: {error}", where=where, hint=hint) from error
    for i, values in enumerate(zip(*found.values(), strict=True), 1):
        cells = ("" if value is None else str(value) for value in values)
        yield f"row {i}", dict(zip(found, cells, strict=True)), len(found)


def _check_header(header: list[str], columns: dict[str, str], where: str) -> None:
    for key, name in columns.items():
        if name not in header:
            hint = did_you_mean(name, header) or f"there are {', '.join(header) or 'none'}"
            if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
                hint = "columns are separated by commas"
            raise DataError(f"data.{key}: no column '{name}'", where=where, hint=hint)
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise DataError(f"two columns are called '{twice[0]}'", where=where, hint="names tell columns apart")
