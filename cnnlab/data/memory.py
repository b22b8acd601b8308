"""How much fits into memory: asked before reading, so that too much is a sentence and no kill by the system."""

import os
from pathlib import Path

from cnnlab.errors import DataError

SHARE = 0.8  # of the available memory; the rest is for batches and the model


def available_bytes() -> int | None:
    """Bytes that can be had without swapping, or None where the system does not tell (other than Linux)."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    return min(free, _container_bytes(otherwise=free))


def _container_bytes(otherwise: int) -> int:
    """What the container (control group, version 2) leaves; `otherwise` outside of one."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return otherwise if limit == "max" else max(0, int(limit) - int(used))
    except (OSError, ValueError):
        return otherwise


def check_fits(needed: int, what: str, *, where: str, hint: str) -> None:
    """Nothing, or a DataError where `needed` bytes for `what` are more than `SHARE` of what is available."""
    free = available_bytes()
    if free is not None and needed > SHARE * free:
        message = f"{what} would take {needed / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB are available"
        raise DataError(message, where=where, hint=hint)


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
