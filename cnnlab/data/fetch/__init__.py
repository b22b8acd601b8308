"""`cnnlab data fetch`: public data sets from their publishers. Nothing else in cnnlab touches the network."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnnlab.data.fetch.addresses import DATASETS, File, Published
from cnnlab.data.fetch.download import Checked, Patience, checksum, download
from cnnlab.data.fetch.events import Done, Event, Progress
from cnnlab.data.fetch.record import NAME as RECORD
from cnnlab.data.fetch.record import Record, measure, read
from cnnlab.data.fetch.unpack import unpack
from cnnlab.errors import DataError, FetchError, did_you_mean

UNPACKING = ".unpacking"  # a folder in which nothing is whole; of a killed process it is removed
ELSEWHERE = "remove it, or choose another folder with --to"
MARGIN = 2  # times the bytes that an archive is known to hold, about
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def find(name: str) -> str:
    """The name as DATASETS has it, for `Fashion_MNIST` and `cifar-10` too. Raises DataError."""
    plain = {known.replace("-", ""): known for known in DATASETS}
    asked = name.lower().replace("-", "").replace("_", "")
    if asked in plain:
        return plain[asked]
    hint = did_you_mean(name, list(DATASETS)) or f"there are {', '.join(DATASETS)}"
    raise DataError(f"fetch: no data set '{name}'", hint=hint)


def fetch(name: str, folder: Path, patience: Patience | None = None) -> Iterator[Event]:
    """Events until the data set of DATASETS lies in `folder`; the last one is `Done`.

    Whatever ends the process, the next call goes on: downloads lie in `<file>.part`, archives are unpacked beside
    their place and then renamed, `fetched.json` tells what is whole. Raises DataError for a folder that cannot take
    it or holds something else, FetchError where the network or the disk fails.
    """
    published = DATASETS[name]
    with _disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            record = read(folder, name)
            _clear(folder)
            missing = [file for file in published.files if not _whole(file, folder, record)]
            if missing:
                _check_room(published, missing, folder)
                record.write(folder)  # a folder that cannot be written to is told before anything is downloaded
            for file in missing:
                yield from _bring(file, folder, record, patience or Patience())
            yield Done(folder, record.files, bool(missing))


def _clear(folder: Path) -> None:
    """Removes what a killed process left unfinished; what is downloaded stays."""
    shutil.rmtree(folder / UNPACKING, ignore_errors=True)
    for path in folder.glob(f".{RECORD}.*"):  # as cnnlab/files.py calls what it has not finished writing
        path.unlink()


def _whole(file: File, folder: Path, record: Record) -> bool:
    """Whether the file, or what it unpacks to, is there. DataError where something else lies in its place."""
    place = folder / (file.makes or file.name)
    if not place.exists():
        record.files.pop(file.name, None)
        record.folders.pop(file.makes, None)
        return False
    if file.makes:
        known = record.folders.get(file.makes)
        if known is None:
            raise DataError("is there already, and no fetch has made it", where=str(place), hint=ELSEWHERE)
        now = measure(place)
        if not known:  # killed after the folder had got its name, which only a whole one gets
            record.folders[file.makes] = now
            record.write(folder)
        elif now != known:
            counts = " and had ".join(f"{each['files']:,} files of {each['bytes']:,} bytes" for each in (now, known))
            raise DataError(f"has {counts} when it was fetched", where=str(place), hint=ELSEWHERE)
        (folder / file.name).unlink(missing_ok=True)
        return True
    sha256, wrong = checksum(place, file.checksum)
    if wrong:
        raise DataError(f"is there already, and {wrong}", where=str(place), hint=ELSEWHERE)
    if file.name not in record.files:
        record.files[file.name] = {"size": file.size, "sha256": sha256, "address": "was there already"}
        record.write(folder)
    return True


def _check_room(published: Published, missing: list[File], folder: Path) -> None:
    there = [folder / name for file in missing for name in (file.name, f"{file.name}.part")]
    come = sum(path.stat().st_size for path in there if path.exists())
    needed = sum(file.size + file.unpacked for file in missing) - come
    free = shutil.disk_usage(folder).free
    if needed > free:
        message = f"{published.title} takes {needed / 1e9:,.2f} GB more, and {free / 1e9:,.2f} GB are free"
        raise FetchError(message, where=str(folder), hint="free some space, or choose another disk with --to")


def _bring(file: File, folder: Path, record: Record, patience: Patience) -> Iterator[Event]:
    """Downloads the file, and unpacks it where it is an archive."""
    path = folder / file.name
    if path.exists():  # an archive that was killed before it was unpacked
        sha256, wrong = checksum(path, file.checksum)
        if wrong:
            raise DataError(f"is there already, and {wrong}", where=str(path), hint=ELSEWHERE)
        came = Checked(sha256, record.files.get(file.name, {}).get("address", "was there already"))
    else:
        came = yield from download(file, folder, patience)
    record.files[file.name] = {"size": file.size, "sha256": came.sha256, "address": came.address}
    if file.makes:
        record.folders[file.makes] = {}
    record.write(folder)
    if not file.makes:
        return
    aside = folder / UNPACKING
    aside.mkdir()
    try:
        for done in unpack(path, aside, file.makes, MARGIN * file.unpacked):
            yield Progress(file.name, "unpacking", done, max(done, file.unpacked))
        (aside / file.makes).replace(folder / file.makes)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    record.folders[file.makes] = measure(folder / file.makes)
    record.write(folder)
    path.unlink()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """DataError where another process fetches into this folder; on Windows nobody looks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    held = os.open(folder, os.O_RDONLY)  # the lock ends with the process, and leaves no file
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        hint = "wait for it, or choose another folder with --to"
        raise DataError("another fetch is at work in this folder", where=str(folder), hint=hint) from None
    finally:
        os.close(held)


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """What the disk refuses, as a sentence."""
    try:
        yield
    except OSError as error:
        where = str(error.filename or folder)
        if error.errno in FULL:
            hint = "free some space; the same command then goes on where it stopped"
            raise FetchError(f"cannot be written: {error.strerror}", where=where, hint=hint) from error
        message = f"cannot be written: {error.strerror or error}"
        raise DataError(message, where=where, hint="choose another folder with --to") from error
