"""The README's demo from the command on: to its first epoch, to 98 % of the validation split, to the tables.

Cold is without programs that an earlier start compiled, warm with them; beside it the same work as a PyTorch script.
"""

import os
import re
import subprocess
import time
from pathlib import Path

ACCURACY = re.compile(r"validation/accuracy (\S+)")
MILESTONES = ("first epoch", "98 %", "tables")


def milestones(command: list[str], folder: Path, **environment: str) -> dict[str, float]:
    """Seconds from the start of a process that prints a line an epoch on stderr; the last one is its end."""
    start, found = time.perf_counter(), {}
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if match := ACCURACY.search(line):
                found.setdefault("first epoch", time.perf_counter() - start)
                if float(match[1]) >= 0.98:
                    found.setdefault("98 %", time.perf_counter() - start)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return {**found, "tables": time.perf_counter() - start}


def compared(ours: list[str], theirs: list[str] | None, folder: Path, repeats: int) -> dict[str, list[float]]:
    """Seconds by `who, milestone`, one after the other in turn, after a round that fills the caches."""
    sides: dict[str, tuple[list[str], dict[str, str]]] = {
        "cnnlab cold": (ours, {"CNNLAB_CACHE": "off"}),
        "cnnlab warm": (ours, {}),
    }
    if theirs is not None:
        sides["PyTorch script"] = (theirs, {})
    found: dict[str, list[float]] = {}
    for repeat in range(repeats + 1):
        for who, (command, environment) in sides.items():
            taken = milestones(command, folder, **environment)
            for milestone in MILESTONES if repeat else ():
                found.setdefault(f"{who}, to {milestone}", []).append(taken.get(milestone, float("nan")))
    return found
