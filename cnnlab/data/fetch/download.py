"""One file over HTTP: resumed where it stopped, tried again, from the next mirror, and believed by its checksum."""

import hashlib
import os
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from cnnlab import __version__
from cnnlab.data.fetch.addresses import File
from cnnlab.data.fetch.events import Event, Note, Progress
from cnnlab.errors import FetchError
from cnnlab.files import fsync_directory

CHUNK = 2**18  # bytes
SLOWEST = 1024  # bytes a second, on average over a timeout: less counts as nothing
FURTHER = 2**20  # bytes: an attempt that brings so many is none that failed
PASSING = (408, 425, 429)  # and all from 500: may be gone a moment later
LONGEST_PAUSE = 30.0  # seconds


@dataclass(frozen=True)
class Patience:
    """timeout: seconds without a byte; attempts: in a row and without getting further; pause: seconds, doubling."""

    timeout: float = 30.0
    attempts: int = 5
    pause: float = 1.0


@dataclass(frozen=True)
class Checked:
    """A file that is whole: its SHA-256, whatever its publisher gives, and where it came from."""

    sha256: str
    address: str


class _Refused(Exception):
    """This address does not have the file."""


class _Cut(Exception):
    """The transfer ended early; the same address may have the rest."""


def download(file: File, folder: Path, patience: Patience) -> Iterator[Event]:
    """Events until `folder/file.name` is there and has its checksum; the generator's value is a `Checked`.

    What has come lies in `<name>.part`, whatever ends the process. Raises FetchError where no address has the file,
    OSError where the disk cannot take it.
    """
    part = folder / f"{file.name}.part"
    reasons: list[str] = []
    for address in file.addresses:
        resumed = _size(part) > 0
        while True:
            reason = yield from _arrive(address, part, file, patience)
            if reason:
                break
            yield Progress(file.name, "checking", file.size, file.size)
            sha256, reason = checksum(part, file.checksum)
            if not reason:
                part.replace(folder / file.name)
                fsync_directory(folder)
                return Checked(sha256, address)
            part.unlink()
            if not resumed:
                break
            resumed = False  # what lay there was perhaps another file's beginning: once more, from nothing
            yield Note(f"{file.name}: {reason}; starting again from nothing")
        reasons.append(f"{urlsplit(address).netloc}: {reason}")
        if address != file.addresses[-1]:
            yield Note(f"{address}: {reason}; trying the next address")
    hint = "what came is kept: the same command goes on from there" if _size(part) else "try again later"
    raise FetchError(f"cannot be fetched ({'; '.join(reasons)})", where=file.name, hint=hint)


def checksum(path: Path, expected: str) -> tuple[str, str]:
    """The file's SHA-256, and what is wrong with it: nothing where it has the checksum "sha256:..." or "md5:..."."""
    kind, _, wanted = expected.partition(":")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        found = sha256
        if kind != "sha256":
            file.seek(0)
            found = hashlib.file_digest(file, kind).hexdigest()
    names = {"sha256": "SHA-256", "md5": "MD5"}
    return sha256, "" if found == wanted else f"its {names[kind]} is {found[:16]}..., and {wanted[:16]}... is published"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _arrive(address: str, part: Path, file: File, patience: Patience) -> Iterator[Event]:
    """Events until `part` has all bytes; the generator's value is why it has not, or nothing."""
    failures = 0
    while True:
        before = _size(part)
        try:
            yield from _transfer(address, part, file, patience)
            return ""
        except _Refused as refused:
            return str(refused)
        except _Cut as cut:
            failures = 0 if _size(part) >= before + FURTHER else failures + 1
            if failures >= patience.attempts:
                return f"{cut} ({patience.attempts} times)"
            yield Note(f"{address}: {cut}; trying again")
            time.sleep(min(patience.pause * 2 ** max(0, failures - 1), LONGEST_PAUSE))


def _transfer(address: str, part: Path, file: File, patience: Patience) -> Iterator[Progress]:
    """One request, whose bytes are added to `part`. Raises _Refused and _Cut."""
    start = _size(part)
    if start > file.size:
        part.unlink()
        start = 0
    if start == file.size:
        return
    response = _open(address, start, part, patience)
    with response:
        start = _first_byte(response, start, file)
        with part.open("ab" if start else "wb", buffering=0) as out:  # a byte that came survives a kill
            done = marked = start
            mark = time.monotonic()
            yield Progress(file.name, "downloading", done, file.size)
            while done < file.size:
                chunk = _read(response, min(CHUNK, file.size - done), patience)
                if not chunk:
                    raise _Cut(f"the connection ended after {done:,} of {file.size:,} bytes")
                rest = memoryview(chunk)
                while rest:
                    rest = rest[out.write(rest) :]
                done += len(chunk)
                now = time.monotonic()
                if now - mark >= patience.timeout:
                    if done - marked < SLOWEST * patience.timeout:
                        raise _Cut(f"{done - marked:,} bytes came in {now - mark:.0f} s")
                    mark, marked = now, done
                yield Progress(file.name, "downloading", done, file.size)
            os.fsync(out.fileno())


def _open(address: str, start: int, part: Path, patience: Patience) -> HTTPResponse:
    headers = {"User-Agent": f"cnnlab/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        return _opener().open(Request(address, headers=headers), timeout=patience.timeout)  # type: ignore[return-value]
    except HTTPError as error:
        error.close()
        if error.code == 416:
            part.unlink()
            raise _Cut(f"it has no byte {start:,}") from None
        kind = _Cut if error.code >= 500 or error.code in PASSING else _Refused
        reason = str(error.reason).partition("\n")[0]  # of a redirect, three lines
        raise kind(f"HTTP {error.code} {reason}".rstrip()) from None
    except (OSError, HTTPException) as error:
        raise _trouble(error, patience) from None


def _read(response: HTTPResponse, count: int, patience: Patience) -> bytes:
    try:
        return response.read1(count)
    except (OSError, HTTPException) as error:
        raise _trouble(error, patience) from None


def _trouble(error: Exception, patience: Patience) -> Exception:
    """What became of a connection, as one that may be tried again or not."""
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return _Cut(f"no answer in {patience.timeout:g} s")
    if isinstance(reason, socket.gaierror):
        return _Refused("the host's name is not known here; is there a network?")
    if isinstance(reason, ssl.SSLCertVerificationError):
        return _Refused(f"its certificate is not valid: {reason.verify_message}")
    if isinstance(reason, str):  # an address that is none, or of another kind, such as a redirect to ftp:
        return _Refused(reason)
    return _Cut(f"the connection broke ({getattr(reason, 'strerror', None) or reason or type(reason).__name__})")


def _first_byte(response: HTTPResponse, start: int, file: File) -> int:
    """The number of the first byte that the answer holds: 0 where the server sends all, asked for a part or not."""
    total = response.headers.get("Content-Length", "")
    if response.status == 206:
        unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
        span, _, total = rest.partition("/")
        if unit != "bytes" or span.partition("-")[0] != str(start):
            raise _Refused(f"asked for bytes from {start:,} on, it sends '{unit} {rest}'")
    elif response.status == 200:
        start = 0
    else:
        raise _Refused(f"HTTP {response.status} {response.reason}")
    if total.isdecimal() and int(total) != file.size:
        raise _Refused(f"it has {int(total):,} bytes, and {file.size:,} are published")
    return start


@cache
def _opener() -> OpenerDirector:
    """http and https alone, through the environment's proxies: urllib's own opener would read file: and ftp: too."""
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        UnknownHandler(),
        HTTPHandler(),
        HTTPSHandler(),
        HTTPRedirectHandler(),
        HTTPDefaultErrorHandler(),
        HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
