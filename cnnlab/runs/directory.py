"""Where a run's files are, how a run is made, found and opened."""

import json
import os
import re
from pathlib import Path
from typing import Any

from cnnlab import __version__
from cnnlab.errors import RunError, did_you_mean
from cnnlab.files import write_atomically

# What `begin` writes before a run counts as begun, and what a kill in the middle of that can leave.
_FIRST = {"spec.yaml", "resolved.yaml", "environment.json", "data.json", "splits.csv", "model.json", ".lock"}
FORMAT = 1  # of the run directory; a higher one is of a newer cnnlab


class Run:
    """A run directory; the names of the contract as paths."""

    def __init__(self, path: Path):
        self.path = path
        self.spec = path / "spec.yaml"
        self.resolved = path / "resolved.yaml"
        self.environment = path / "environment.json"
        self.data = path / "data.json"
        self.splits = path / "splits.csv"
        self.model = path / "model.json"
        self.history = path / "history.csv"
        self.energy = path / "energy.json"
        self.status = path / "status.json"
        self.log = path / "log.txt"
        self.checkpoints = path / "checkpoints"
        self.figures = path / "figures"
        self.compression = path / "compression.json"  # of what 'cnnlab compress' has made: its weights are a file
        self.weights = path / "weights.safetensors"

    def evaluation(self, split: str, checkpoint: str = "best") -> Path:
        """eval/<split>/ is of the best checkpoint; another one has a folder of its own beside it."""
        return self.path / "eval" / (split if checkpoint == "best" else f"{split}-{checkpoint}")

    def write_json(self, path: Path, content: Any) -> None:
        write_atomically(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def read_json(self, path: Path) -> Any:
        """Raises RunError where the file is missing or no JSON."""
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise RunError(f"its {path.name} is missing or damaged", where=str(self.path)) from None

    def write_log(self, line: str) -> None:
        with self.log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def locate(name: str, chosen: Path | None, *, resume: bool) -> Run:
    """The directory to train in: `chosen`, else runs/<name>, -2, -3 ... when taken; to resume, the latest of them.

    Raises RunError where `chosen` is taken, or is to be resumed and is something else than a run.
    """
    if resume:
        there = Run(chosen) if chosen is not None else latest(name)
        if there is not None and there.status.exists():
            return _open_to_train(there.path)
        if chosen is not None and chosen.is_dir() and any(p.name not in _FIRST for p in chosen.iterdir()):
            raise RunError("is not a run directory, and not empty", where=str(chosen), hint="choose another with --run")
        if there is not None:  # killed before its first files were all written
            _make(there.path, exist_ok=True)
            return there
    if chosen is not None:
        if chosen.exists() and (not chosen.is_dir() or any(chosen.iterdir())):
            raise RunError("is taken", where=str(chosen), hint="choose another, or continue it with --resume")
        _make(chosen, exist_ok=True)
        return Run(chosen)
    number = 1
    while True:
        path = Path("runs") / (name if number == 1 else f"{name}-{number}")
        try:
            _make(path, exist_ok=False)
            return Run(path)
        except FileExistsError:
            number += 1


def _open_to_train(path: Path) -> Run:
    run = open_run(path)
    if run.compression.exists():
        message = "is compressed, and has no state to train on from"
        raise RunError(message, where=str(path), hint="name it as model.weights of a new run")
    return run


def _make(path: Path, *, exist_ok: bool) -> None:
    try:
        path.mkdir(parents=True, exist_ok=exist_ok)
    except FileExistsError:
        raise
    except OSError as error:
        raise RunError(f"cannot be made: {error.strerror}", where=str(path), hint="choose another with --run") from None


def latest(name: str) -> Run | None:
    """The run of that name with the highest number, None where there is none."""
    pattern = re.compile(re.escape(name) + r"(?:-(\d+))?")
    found = []
    for path in Path("runs").glob("*"):
        match = pattern.fullmatch(path.name)
        if match and path.is_dir():
            found.append((int(match[1] or 1), path))
    return Run(max(found)[1]) if found else None


def open_run(path: Path) -> Run:
    """A run that was begun. Raises RunError where there is none, or a newer cnnlab made it."""
    if not path.is_dir():
        near = did_you_mean(path.name, [p.name for p in path.parent.glob("*") if p.is_dir()])
        raise RunError("no such run directory", where=str(path), hint=near or "'cnnlab train SPEC' makes one")
    run = Run(path)
    if not run.resolved.exists() or not run.environment.exists():
        hint = "a run is what 'cnnlab train' leaves in runs/"
        raise RunError("is not a run directory: it has no resolved.yaml", where=str(path), hint=hint)
    environment = run.read_json(run.environment)
    try:
        version, run_format = str(environment["cnnlab"]), int(environment["run_format"])
    except (TypeError, KeyError, ValueError):
        raise RunError("its environment.json tells no version", where=str(path), hint="restore the file") from None
    hint = "install a version at least as new"
    if _numbers(version) > _numbers(__version__):
        raise RunError(f"was trained by cnnlab {version}, and this is {__version__}", where=str(path), hint=hint)
    if run_format > FORMAT:
        raise RunError(f"has the format {run_format}, and this cnnlab reads {FORMAT}", where=str(path), hint=hint)
    return run


def unfinished(run: Run) -> list[str]:
    """A sentence where the run has not come to its end."""
    status = run.read_json(run.status)
    if status.get("status") == "finished":
        return []
    return [f"{run.path} is not finished: {status.get('status')}, {status.get('reason') or 'no reason given'}"]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


class Lock:
    """One process at a time trains in a run directory; the system lets go of it when the process ends."""

    def __init__(self, run: Run):
        self.path = run.path / ".lock"

    def __enter__(self) -> None:
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT)
        if os.name != "posix":
            return  # Windows has no such lock; two runs in one directory are then the user's own care
        import fcntl

        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self.descriptor)
            raise RunError("another process is training here", where=str(self.path.parent)) from None

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)
