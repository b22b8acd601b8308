"""Training the course's specs, each as a command of its own, and reading figures from what the runs left."""

import csv
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnlab.spec.load import load
from experiments.course.topics import Spec, read_spec

CNNLAB = [sys.executable, "-c", "from cnnlab.cli import command; command()"]


@dataclass(frozen=True)
class Ended:
    """A spec's run: its directory, the exit code, the seconds that the command took, and what it complained of."""

    run: Path
    code: int
    seconds: float
    error: str

    @property
    def diverged(self) -> bool:
        return self.code == 1 and "training diverged" in self.error

    def figure(self, path: str) -> float:
        """The figure at a path of claims.py. Raises KeyError where the run has no such figure."""
        if path == "epochs":
            return len(self.history())
        column, at, epoch = path.partition("@")
        if "/" in column:
            rows = [row for row in self.history() if not at or row["epoch"] == float(epoch)]
            if not rows or column not in rows[-1]:
                raise KeyError(path)
            return rows[-1][column]
        if path == "codes.mean":
            return self.mean_code()
        for document in ("model", "then"):
            if path.startswith(f"{document}."):
                return _at(self.document(f"{document}.json"), path.removeprefix(f"{document}."))
        return _at(self.metrics(), path)

    def history(self) -> list[dict[str, float]]:
        """A row an epoch; figures that were not measured are left out."""
        with (self.run / "history.csv").open(newline="", encoding="utf-8") as file:
            return [{name: float(text) for name, text in row.items() if text} for row in csv.DictReader(file)]

    def metrics(self) -> dict[str, Any]:
        return self.document("eval/test/metrics.json")

    def mean_code(self) -> float:
        """Of all units of the code over the test split. Raises KeyError where the network has none."""
        file = self.run / "eval/test/codes.npz"
        if not file.exists():
            raise KeyError("codes.mean")
        with np.load(file) as arrays:
            return float(arrays["codes"].mean(dtype=np.float64))

    def document(self, name: str) -> dict[str, Any]:
        return json.loads((self.run / name).read_text(encoding="utf-8"))


def _at(document: Any, path: str) -> float:
    """`per_class.0.f1` of a document. Raises KeyError where there is no number."""
    found = document
    for part in path.split("."):
        try:
            found = found[int(part)] if isinstance(found, list) else found[part]
        except (KeyError, IndexError, ValueError, TypeError):
            raise KeyError(path) from None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise KeyError(path)
    return float(found)


def train(spec: Spec, folder: Path, seed: int | None = None) -> Ended:
    """The spec's run in `folder`/<topic>/<name>, and the command behind it; one that is there already, of the same
    spec and seed, is taken. A teacher, which is another spec of the topic, is trained before.
    """
    run = folder / spec.path.parent.name / (spec.path.stem if seed is None else f"{spec.path.stem}-seed{seed}")
    note = run.with_suffix(".json")  # beside the run
    text = spec.path.read_text(encoding="utf-8")
    if note.exists() and (kept := json.loads(note.read_text(encoding="utf-8"))).pop("spec") == text:
        return Ended(run, **kept)
    if run.exists():
        raise SystemExit(f"{run} is of another spec or was not finished: remove it, or choose another folder")
    run.parent.mkdir(parents=True, exist_ok=True)
    overrides = [] if seed is None else [f"seed={seed}"]
    teacher = teacher_of(spec)
    if teacher is not None:
        overrides.append(f"distill.teacher={train(teacher, folder, seed).run.resolve()}")
    begin = time.perf_counter()
    command = [*CNNLAB, "train", str(spec.path), *overrides, "--run", str(run), "--quiet"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if spec.then is not None and not done.returncode:
        name, *options = spec.then.split()
        command = [*CNNLAB, name, str(run), *options, "--json"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        (run / "then.json").write_text(done.stdout, encoding="utf-8")
    ended = Ended(run, done.returncode, time.perf_counter() - begin, done.stderr.strip())
    kept = {"spec": text, "code": ended.code, "seconds": ended.seconds, "error": ended.error}
    note.write_text(json.dumps(kept), encoding="utf-8")
    return ended


def teacher_of(spec: Spec) -> Spec | None:
    """The spec beside this one whose run teaches it. Raises ValueError where it is another's run."""
    distill = load(spec.path).distill
    if distill is None:
        return None
    name = Path(distill.teacher).name
    for path in sorted(spec.path.parent.glob("*.yaml")):
        if load(path).name == name:
            return read_spec(path)
    raise ValueError(f"{spec.path}: no spec beside it has the name {name}")
