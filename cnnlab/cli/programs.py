"""XLA's compiled programs on disk, each whole or not there.

JAX's own file cache writes in place: a kill in the middle leaves half a program, of which every later start warns and
which nothing replaces. So the one function by which JAX opens its cache is replaced; the only module here that touches
what JAX keeps private about it, as read in jax 0.10.2 and 0.12.0.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

DIGEST = hashlib.sha256().digest_size


class Programs:
    """Programs by their keys, a file each: the SHA-256 of the program, and the program. What is damaged is not there.

    Neither a full disk nor a folder that cannot be written is an error: the program is compiled again next time.
    """

    def __init__(self, folder: Path):
        self.folder = self._path = folder  # JAX asks for `_path`

    def get(self, key: str) -> bytes | None:
        try:
            content = self._file(key).read_bytes()
        except OSError:
            return None
        program = content[DIGEST:]
        return program if hashlib.sha256(program).digest() == content[:DIGEST] else None

    def put(self, key: str, value: bytes) -> None:
        temporary = self._file(f".{key}.{os.getpid()}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(hashlib.sha256(value).digest() + value)
            temporary.replace(self._file(key))  # no fsync: the digest tells what a power cut has left
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.program"


def keep_whole() -> bool:
    """Whether JAX now keeps its programs in `Programs`; where its insides are others, its own cache goes on."""
    try:
        from jax._src import compilation_cache
    except ImportError:
        return False
    if not hasattr(compilation_cache, "get_file_cache"):
        return False
    compilation_cache.get_file_cache = lambda path: (Programs(Path(path)), path)
    return True


def keep_in_each_process() -> None:
    """Every process of a job keeps its programs, not only process 0 as JAX has it, which spares file systems that
    cannot rename: the others would compile at each start, and process 0 wait for them."""
    try:
        from jax._src import compiler, distributed

        write, job = compiler._cache_write, distributed.global_state
    except (ImportError, AttributeError):
        return

    def written(*arguments: Any) -> None:
        number, job.process_id = job.process_id, 0
        try:
            write(*arguments)
        finally:
            job.process_id = number

    compiler._cache_write = written
