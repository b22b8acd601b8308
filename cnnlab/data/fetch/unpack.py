"""Archives from elsewhere -> a folder: no path leaves it, no link, no device, and no more than was announced."""

import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from cnnlab.errors import DataError, FetchError

MOST_FILES = 100_000
MOST_EXPANSION = 100  # bytes out of one byte: images do not shrink by more
LARGEST_HEADER = 2**20  # bytes: tarfile reads one at once, whatever size it gives itself
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)
HINT = "remove it, and fetch it again"


def unpack(archive: Path, folder: Path, makes: str, most_bytes: int) -> Iterator[int]:
    """Unpacks a tar archive (gzip or not) or a zip archive into `folder`; yields the bytes written so far.

    Every member must lie in the folder `makes`. What macOS keeps beside files (`._name`) is left out. Raises
    DataError for a member that is unsafe, for too much, and for a damaged archive; OSError of the disk.
    """
    if not hasattr(tarfile, "data_filter"):
        raise FetchError("Python unpacks archives safely from 3.11.4 on", where=str(archive), hint="use a newer one")
    guard = _Guard(archive, makes, most_bytes)
    try:
        with archive.open("rb") as file:
            start = file.read(4)
        if start == b"PK\x03\x04":
            yield from _unzip(archive, folder, guard)
        else:
            with gzip.open(archive) if start[:2] == b"\x1f\x8b" else archive.open("rb") as content:
                yield from _untar(content, folder, guard)
    except (*DAMAGED, gzip.BadGzipFile) as error:
        raise DataError(f"is damaged: {error}", where=str(archive), hint=HINT) from error
    if not (folder / makes).is_dir():
        raise DataError(f"has no folder '{makes}'", where=str(archive), hint=HINT)


class _Guard:
    """Admits an archive's members one after the other, or raises DataError."""

    def __init__(self, archive: Path, makes: str, most_bytes: int):
        self.where, self.makes = str(archive), makes
        self.most_bytes = min(most_bytes, MOST_EXPANSION * archive.stat().st_size)
        self.seen: set[PurePosixPath] = set()
        self.total = 0

    def admit(self, name: str, size: int, kind: str) -> PurePosixPath | None:
        """The path of a member that may be written, None for one that is left out. kind: what it is, in a word."""
        path = PurePosixPath(name)
        shown = repr(name[:200])
        if path.is_absolute() or ".." in path.parts or any(mark in name for mark in "\\:\0"):
            self.refuse(f"its member {shown} would leave the folder")
        if kind not in ("file", "folder"):
            self.refuse(f"its member {shown} is a {kind}")
        if not path.parts or path.name.startswith("._"):
            return None
        if path.parts[0] != self.makes:
            self.refuse(f"its member {shown} does not lie in '{self.makes}/'")
        if kind == "folder":
            return path
        if path in self.seen:
            self.refuse(f"its member {shown} is there twice")
        self.seen.add(path)
        self.total += size
        if len(self.seen) > MOST_FILES:
            self.refuse(f"it has more than {MOST_FILES:,} files")
        if self.total > self.most_bytes:
            self.refuse(f"its files have {self.total:,} bytes up to {shown}, and {self.most_bytes:,} are the limit")
        return path

    def refuse(self, message: str) -> None:
        raise DataError(message, where=self.where, hint=f"it is not what its publisher made; {HINT}")


class _Bounded:
    """A file whose reader cannot be made to take a gigabyte at once by a member's header."""

    def __init__(self, file: Any, guard: _Guard):
        self.file, self.guard = file, guard
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > LARGEST_HEADER:
            self.guard.refuse(f"a member's header takes {size:,} bytes")
        return self.file.read(size)


def _untar(content: Any, folder: Path, guard: _Guard) -> Iterator[int]:
    with tarfile.open(fileobj=_Bounded(content, guard), mode="r:") as archive:  # type: ignore[call-overload]
        for member in archive:
            path = guard.admit(member.name, member.size, _kind(member))
            if path is None:
                continue
            try:
                archive.extract(member, folder, set_attrs=False, filter="data")
            except tarfile.FilterError as error:
                guard.refuse(f"its member {member.name[:200]!r} is not safe: {error}")
            yield guard.total


def _kind(member: tarfile.TarInfo) -> str:
    if member.isreg():
        return "file"
    return "folder" if member.isdir() else "link" if member.issym() or member.islnk() else "device"


def _unzip(archive: Path, folder: Path, guard: _Guard) -> Iterator[int]:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            if member.flag_bits & 1:
                guard.refuse(f"its member {member.filename[:200]!r} is encrypted")
            path = guard.admit(member.orig_filename, member.file_size, _zip_kind(member))
            if path is None:
                continue
            target = folder / path
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened.open(member) as source, target.open("xb") as out:
                shutil.copyfileobj(source, out)
            yield guard.total


def _zip_kind(member: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(member.external_attr >> 16)  # 0 where it was packed on another system than Unix
    if member.is_dir():
        return "folder"
    return "file" if kind in (0, stat.S_IFREG) else "link" if kind == stat.S_IFLNK else "device"
