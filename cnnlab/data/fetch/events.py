"""What fetching tells on its way."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Progress:
    """`done` of `total` bytes of `what`; work: "downloading", "checking" or "unpacking"."""

    what: str
    work: str
    done: int
    total: int


@dataclass(frozen=True)
class Note:
    """A sentence for the user that is no error: an address that failed, what was there already."""

    sentence: str


@dataclass(frozen=True)
class Done:
    """The folder is whole. files: what its record says of each downloaded file (size, sha256, address)."""

    folder: Path
    files: dict[str, dict[str, str | int]]
    fetched: bool


Event = Progress | Note | Done
