"""`fetched.json`: what a fetch has made in a folder, so that the next one knows what is whole and what is its own."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnnlab.errors import DataError
from cnnlab.files import write_atomically

NAME = "fetched.json"


@dataclass
class Record:
    """files: size, sha256 and address of each downloaded file by its name.

    folders: how many files and bytes each unpacked folder has, by its name; an empty dictionary while it is made.
    """

    name: str
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    folders: dict[str, dict[str, int]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        write_atomically(folder / NAME, json.dumps(vars(self), indent=1) + "\n")


def read(folder: Path, name: str) -> Record:
    """The folder's record, an empty one where there is none. DataError for another data set's, or a damaged one."""
    path = folder / NAME
    if not path.exists():
        return Record(name)
    try:
        record = Record(**json.loads(path.read_text(encoding="utf-8")))
        entries = [*record.files.values(), *record.folders.values()]
        if not all(isinstance(entry, dict) for entry in entries):
            raise TypeError("an entry is no object")
    except (ValueError, TypeError, AttributeError) as error:
        hint = "remove the file, or choose another folder with --to"
        raise DataError(f"is no record of a fetch: {error}", where=str(path), hint=hint) from None
    if record.name != name:
        hint = f"choose another one for {name} with --to"
        raise DataError(f"the folder holds {record.name}", where=str(folder), hint=hint)
    return record


def measure(folder: Path) -> dict[str, int]:
    """How many files are in the folder, at any depth, and how many bytes they have."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return {"files": len(sizes), "bytes": sum(sizes)}
