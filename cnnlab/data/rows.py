"""Rows of a table, CSV or Parquet, as text by column, each with its line."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from cnnlab.errors import DataError, did_you_mean


def read_rows(path: Path, columns: dict[str, list[str]], where: str) -> Iterator[tuple[str, dict[str, str], int]]:
    """Each row's place, its cells by column, and the number of columns; rows without any cell are left out.

    columns: those that must be there, by the key of the spec that names them. Raises DataError.
    """
    read = _parquet_rows if path.suffix.lower() == ".parquet" else _csv_rows
    return read(path, columns, where)


def _csv_rows(path: Path, columns: dict[str, list[str]], where: str) -> Iterator[tuple[str, dict[str, str], int]]:
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


def _parquet_rows(path: Path, columns: dict[str, list[str]], where: str) -> Iterator[tuple[str, dict[str, str], int]]:
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
            wanted = sorted({name for names in columns.values() for name in names})
            found = file.read(columns=wanted).to_pydict()
    except (pyarrow.ArrowException, OSError) as error:
        hint = "copy or write the file again"
        raise DataError(f"cannot be read as Parquet: {error}", where=where, hint=hint) from error
    for i, values in enumerate(zip(*found.values(), strict=True), 1):
        cells = ("" if value is None else str(value) for value in values)
        yield f"row {i}", dict(zip(found, cells, strict=True)), len(found)


def _check_header(header: list[str], columns: dict[str, list[str]], where: str) -> None:
    for key, name in ((key, name) for key, names in columns.items() for name in names):
        if name not in header:
            hint = did_you_mean(name, header) or f"there are {', '.join(header) or 'none'}"
            if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
                hint = "columns are separated by commas"
            raise DataError(f"data.{key}: no column '{name}'", where=where, hint=hint)
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise DataError(f"two columns are called '{twice[0]}'", where=where, hint="names tell columns apart")
