"""`split: {train: train.txt, ...}`: files that name a split's examples, a line each, or in a column of a CSV file."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cnnlab.data.dataset import Dataset
from cnnlab.errors import DataError, did_you_mean


def listed(dataset: Dataset, paths: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The sorted int64 indices that each split's file names.

    An example is named by its file, as splits.csv of a run has it, or by the last part of that where no other file
    shares it; else by its index. Raises DataError where a file cannot be read, or names nothing, nobody, or one twice.
    """
    names = _names(dataset)
    taken: dict[int, str] = {}
    return {split: np.array(sorted(_indices(dataset, names, split, path, taken))) for split, path in paths.items()}


def _names(dataset: Dataset) -> dict[str, int | None]:
    """Every name of an example; None where several share it."""
    names: dict[str, int | None] = {}
    for i, name in enumerate(dataset.files or ()):
        last = name.rpartition("/")[2]
        names[last] = None if last in names else i
    return names | {name: i for i, name in enumerate(dataset.files or ())}


def _indices(
    dataset: Dataset, names: Mapping[str, int | None], split: str, path: str, taken: dict[int, str]
) -> list[int]:
    """The examples of one file; they are added to `taken` with their places in it."""
    found, strange = [], []
    for line, name in _entries(Path(path), split, has_files=dataset.files is not None):
        here = f"{path}:{line}"
        example = names.get(name, -1)
        if example is None:
            raise DataError(f"several files are called '{name}'", where=here, hint="name it with its folder")
        if example < 0 and name.isdecimal() and len(name) < 16 and int(name) < len(dataset.y):
            example = int(name)
        if example < 0:
            strange.append((here, name))
        elif example in taken:
            raise DataError(f"'{name}' stands in {taken[example]} already", where=here, hint="name each example once")
        else:
            taken[example] = here
            found.append(example)
    if strange:
        here, name = strange[0]
        near = did_you_mean(name, list(names)) or f"indices go from 0 to {len(dataset.y) - 1:,}"
        message = f"no example '{name}' in the data; {len(strange):,} of {len(strange) + len(found):,} are not there"
        raise DataError(message, where=here, hint=near)
    if not found:
        raise DataError(f"it names no example for {split}", where=path, hint="a name or an index a line")
    return found


def _entries(path: Path, split: str, *, has_files: bool) -> list[tuple[int, str]]:
    """Lines, counted from 1, and the names on them.

    A CSV file whose header has a column `file` or `index` is read by it, and of one with a column `split`, such as a
    run's splits.csv, only this split's rows; of any other the first column counts.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if path.suffix.lower() != ".csv":
            return [(line, name.strip()) for line, name in enumerate(text.splitlines(), 1) if name.strip()]
        rows = [(i, row) for i, row in enumerate(csv.reader(io.StringIO(text, newline=""), strict=True), 1) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        hint = "a name or an index a line, as text in UTF-8; a relative path starts at the spec file"
        raise DataError(f"data.split.{split}: cannot be read: {why}", where=str(path), hint=hint) from None
    header = rows[0][1] if rows else []
    columns = [name for name in (("file", "index") if has_files else ("index", "file")) if name in header]
    if not columns:
        return [(line, row[0].strip()) for line, row in rows]
    place = header.index(columns[0])
    of = header.index("split") if "split" in header else None
    torn = [line for line, row in rows if len(row) != len(header)]
    if torn:
        message = f"not as many cells as the header's {len(header)}"
        raise DataError(message, where=f"{path}:{torn[0]}", hint=f"such rows: {len(torn):,} of {len(rows) - 1:,}")
    return [(line, row[place].strip()) for line, row in rows[1:] if of is None or row[of] == split]
