"""What a process sets before it imports JAX: where compiled programs are kept, and how memory is."""

import gc
import hashlib
import os
import platform
import sys
from pathlib import Path

from cnnlab.files import cache_directory

# glibc's malloc.h: M_MMAP_MAX, M_TRIM_THRESHOLD, M_ARENA_MAX, M_TOP_PAD.
_KEEP = ((-4, 0), (-1, 2**31 - 1), (-8, 1), (-2, 64 * 2**20))
_OFF = ("off", "0", "no", "false")
CACHE_BYTES = 1 << 30


def prepare() -> None:
    """All of the below; a setting of the user's own stays as it is."""
    gc.set_threshold(100_000)  # objects; at the usual 700 the start spends 0.35 of its 2.2 seconds looking for cycles
    keep_programs()
    keep_memory()


def open_streams() -> None:
    """Where the shell has closed stdout or stderr (`>&-`), what is said goes nowhere: else the next file that is opened
    would be in its place."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  (for as long as the process lives)


def keep_stdout() -> None:
    """Only what this program prints reaches stdout from here on: gloo greets there each process that it connects."""
    sys.stdout.flush()
    kept = os.dup(1)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    sys.stdout = open(kept, "w", encoding=sys.stdout.encoding)  # noqa: SIM115  (for as long as the process lives)


def keep_programs() -> None:
    """XLA's programs stay in the user's cache directory, so that the second start does not compile.

    The processor is in the folder's name: a home directory may be shared by machines of several kinds, and a program
    may use instructions that the other does not have. CNNLAB_CACHE=off keeps nothing.
    """
    if os.environ.get("CNNLAB_CACHE", "").lower() in _OFF or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = cache_directory() / f"xla-{_processor()}"
    _prune(folder, CACHE_BYTES)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    from cnnlab.cli.programs import keep_whole  # imports jax, which reads what is set above

    keep_whole()


def _prune(folder: Path, limit: int) -> None:
    """Removes the programs that were not read for longest until the rest takes `limit` bytes."""
    if not folder.is_dir():
        return
    found = [(path, path.stat()) for path in folder.iterdir()]
    total = sum(stat.st_size for _, stat in found)
    for path, stat in sorted(found, key=lambda item: max(item[1].st_atime, item[1].st_mtime)):
        if total <= limit:
            return
        path.unlink(missing_ok=True)
        total -= stat.st_size


def _processor() -> str:
    """Eight digits of what the processor can do, and of how many there are: XLA cuts its loops for them."""
    told = f"{platform.machine()} {platform.processor()} {_processors()}"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        told += "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    except OSError:
        pass  # not Linux
    return hashlib.sha256(told.encode()).hexdigest()[:8]


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def keep_memory() -> None:
    """glibc's malloc keeps what is freed: a step then finds its pages as the last one left them.

    A step of ResNet-50 otherwise asks the kernel for 180,000 fresh pages, each filled with zeros first; the price is
    that memory once used stays with the process. CNNLAB_ALLOCATOR=off leaves malloc alone.
    """
    if os.environ.get("CNNLAB_ALLOCATOR", "").lower() in _OFF or sys.platform != "linux":
        return
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return  # another C library
    for parameter, value in _KEEP:
        mallopt(parameter, value)
