"""A web server on loopback whose answers can be broken, and data sets that seem to be published there."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cnnlab.data.fetch.addresses import File, Published
from cnnlab.data.fetch.download import Patience

QUICK = Patience(timeout=0.5, attempts=2, pause=0.01)


@dataclass(frozen=True)
class Fault:
    """How an answer is broken.

    status: in place of 200; to: a redirect; content: in place of the file; stop: bytes after which the connection
    ends, or, with `hang`, stays silent; ranges: whether a Range is understood; length: what Content-Length says;
    drip: seconds between bytes; start: the first byte that Content-Range says.
    """

    status: int = 0
    to: str = ""
    content: bytes | None = None
    stop: int | None = None
    hang: bool = False
    ranges: bool = True
    length: int | None = None
    drip: float = 0
    start: int | None = None


@dataclass
class Site:
    """files: content by path; faults: the next answers' by path; asked: path and Range of every request."""

    port: int
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, Iterator[Fault | None]] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def file(self, name: str, content: bytes, mirrors: int = 1, **options) -> File:
        """A file that lies in /0/, /1/ ... of this site."""
        paths = [f"/{i}/{name}" for i in range(mirrors)]
        self.files |= dict.fromkeys(paths, content)
        checksum = "sha256:" + hashlib.sha256(content).hexdigest()
        return File(name, len(content), checksum, tuple(map(self.address, paths)), **options)

    def publish(self, published: Published, contents: Mapping[str, bytes]) -> Published:
        """The data set with other contents by the files' names, at this site."""
        files = []
        for file in published.files:
            content = contents[file.name]
            unpacked = file.unpacked and max(10_000, 10 * len(content))
            files.append(self.file(file.name, content, makes=file.makes, unpacked=unpacked))
        return replace(published, files=tuple(files))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        site, wanted = self.site, self.headers.get("Range")
        site.asked.append((self.path, wanted))
        fault = next(site.faults.get(self.path, iter(())), None) or Fault()
        self.close_connection = True
        if fault.to:
            return self._head(302, {"Location": fault.to, "Content-Length": "0"})
        if fault.status or self.path not in site.files:
            return self._head(fault.status or 404, {"Content-Length": "0"})
        content = site.files[self.path] if fault.content is None else fault.content
        total, start = len(content), 0
        headers = {}
        if wanted and fault.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= total:
                return self._head(416, {"Content-Length": "0"})
            first = start if fault.start is None else fault.start
            headers["Content-Range"] = f"bytes {first}-{total - 1}/{total}"
        length = total - start if fault.length is None else fault.length
        self._head(206 if headers else 200, {**headers, "Content-Length": str(length)})
        self._body(content[start:][: fault.stop], fault)
        return None

    def _body(self, content: bytes, fault: Fault) -> None:
        if not fault.drip:
            self.wfile.write(content)
        else:
            for byte in content:
                self.wfile.write(bytes([byte]))
                if self.site.closing.wait(fault.drip):
                    return
        self.wfile.flush()
        if fault.hang:
            self.site.closing.wait(30)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address) -> None:
        pass  # a client that hung up


@contextmanager
def serve() -> Iterator[Site]:
    """A site that answers until the context ends."""
    handler = type("Handler", (_Handler,), {})
    with _Server(("127.0.0.1", 0), handler) as server:
        handler.site = Site(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield handler.site
        finally:
            handler.site.closing.set()
            server.shutdown()
            thread.join()


def tar(files: Mapping[str, bytes], mode: str = "w:gz") -> bytes:
    """A tar archive, with the folders that its files lie in."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        folders = sorted({part for name in files for part in _parents(name)})
        for folder in folders:
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, 0o555
            archive.addfile(member)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _parents(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]
