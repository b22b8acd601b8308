"""Checkpoints: Orbax writes the arrays, a manifest of SHA-256 sums tells whether they are still what was written.

A step's folder is made beside its place and renamed into it, so it is there whole or not at all. Orbax alone
loads flipped bits without a word; here every file is verified before it is read.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnnlab.errors import RunError
from cnnlab.files import fsync_directory, write_atomically
from cnnlab.train.state import State, from_named, named_leaves

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Checkpoint:
    """A stored state: after `step` steps, with `epoch` epochs in the history."""

    path: Path
    step: int
    epoch: int


def save(directory: Path, state: State, epoch: int) -> Checkpoint:
    """Store the state, in which `epoch` epochs are recorded. Raises OSError when the disk is full."""
    from orbax.checkpoint import v1 as ocp

    step = int(state.step)
    path = directory / f"{epoch:05d}-{step:08d}"
    work = directory / f".{path.name}.{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    leaves = {name: np.asarray(leaf) for name, leaf in named_leaves(state).items()}
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # Orbax prints a traceback a thread; the error is raised too
    try:
        with _alone():
            ocp.save(str((work / "state").absolute()), leaves)
    except ValueError as error:  # Orbax tells a full disk so
        if "RESOURCE_EXHAUSTED" in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise
    manifest = {
        "step": step,
        "epoch": epoch,
        "arrays": _shapes(leaves),
        "files": {str(file.relative_to(work)): _synced_sha256(file) for file in _files(work)},
    }
    write_atomically(work / MANIFEST, json.dumps(manifest, indent=1))
    shutil.rmtree(path, ignore_errors=True)  # there only if it was damaged and training came here again
    work.rename(path)
    fsync_directory(directory)
    return Checkpoint(path, step, epoch)


def stored(directory: Path) -> list[Checkpoint]:
    """The steps that are there, damaged ones included, oldest first."""
    found = []
    for path in directory.glob("[0-9]*-[0-9]*") if directory.is_dir() else []:
        epoch, _, step = path.name.partition("-")
        if epoch.isdigit() and step.isdigit():
            found.append(Checkpoint(path, int(step), int(epoch)))
    return sorted(found, key=lambda checkpoint: (checkpoint.step, checkpoint.epoch))


def keep(directory: Path, kept: list[Checkpoint]) -> None:
    """Remove every step but these, and what a kill left half-made."""
    paths = {checkpoint.path for checkpoint in kept}
    for path in [*(c.path for c in stored(directory)), *directory.glob(".[0-9]*")]:
        if path not in paths:
            shutil.rmtree(path, ignore_errors=True)


def load(checkpoint: Checkpoint, like: Any) -> Any:
    """The state of the form of `like`. Raises RunError where a file is damaged or the arrays are of another model."""
    from orbax.checkpoint import v1 as ocp

    manifest = verify(checkpoint)
    leaves = named_leaves(like)
    wanted = _shapes(leaves)
    for name in sorted({*manifest["arrays"], *wanted}):
        have, want = manifest["arrays"].get(name), wanted.get(name)
        if have != want:
            raise RunError(f"holds another model: '{name}' is {have}, not {want}", where=str(checkpoint.path))
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    abstract = {n: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding) for n, leaf in leaves.items()}
    with _alone():
        return from_named(ocp.load(str((checkpoint.path / "state").absolute()), abstract), like)


def verify(checkpoint: Checkpoint) -> dict[str, Any]:
    """The manifest. Raises RunError that names the first file that is missing, new or not as it was written."""
    where = str(checkpoint.path)
    try:
        manifest = json.loads((checkpoint.path / MANIFEST).read_text())
        sums: dict[str, str] = manifest["files"]
    except (OSError, ValueError, KeyError):
        raise RunError("damaged: its manifest cannot be read", where=where) from None
    there = {str(file.relative_to(checkpoint.path)) for file in _files(checkpoint.path)}
    for name in sorted(there ^ set(sums)):
        raise RunError(f"damaged: the file {name} is {'new' if name in there else 'missing'}", where=where)
    for name, expected in sums.items():
        if sha256(checkpoint.path / name) != expected:
            raise RunError(f"damaged: the file {name} is not as it was written (SHA-256)", where=where)
    return manifest


def sha256(path: Path) -> str:
    """The file's SHA-256 as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _alone() -> Iterator[None]:
    """Inside, Orbax takes this process for the only one: of a job, process 0 stores the state by itself.

    Its option `active_processes` is not enough: when it saves it compares paths among all processes (0.12.0).
    """
    counted = jax.process_count
    if counted() > 1:
        jax.process_count = lambda backend=None: 1
    try:
        yield
    finally:
        jax.process_count = counted


def _synced_sha256(path: Path) -> str:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return sha256(path)


def _shapes(leaves: dict[str, Any]) -> dict[str, list[Any]]:
    return {name: [list(leaf.shape), leaf.dtype.name] for name, leaf in leaves.items()}


def _files(directory: Path) -> list[Path]:
    return sorted(p for p in directory.rglob("*") if p.is_file() and p.name != MANIFEST)
