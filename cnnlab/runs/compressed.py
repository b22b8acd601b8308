"""A compressed run on disk: a run directory with a file of weights in place of checkpoints."""

import os
import shutil
from pathlib import Path
from typing import Any

from cnnlab.errors import RunError
from cnnlab.files import fsync_directory, write_atomically
from cnnlab.runs.compression import Comparison
from cnnlab.runs.directory import Run
from cnnlab.runs.evaluation import Restored
from cnnlab.runs.training import set_status
from cnnlab.runs.weights import run_description
from cnnlab.spec.dump import to_yaml
from cnnlab.train.checkpoint import sha256
from cnnlab.weights import files

# What stays as training left it: what the network was trained on, by what, and how that went.
_COPIED = ("spec.yaml", "environment.json", "data.json", "splits.csv", "history.csv", "figures/curves.png")


def check_free(folder: Path) -> None:
    """Raises RunError where something is there."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError("is taken", where=str(folder), hint="choose another folder")


def write(comparison: Comparison, restored: Restored, folder: Path) -> dict[str, Any]:
    """Write the last row as a run that `eval`, `predict`, `summary` and `model.weights` take; its compression.json.

    The folder is made beside its place and renamed into it, so it is there whole or not at all. Raises RunError where
    it is taken.
    """
    check_free(folder)
    row, source = comparison.rows[-1], restored.run
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Run(folder.with_name(f".{folder.name}.{os.getpid()}"))
    shutil.rmtree(work.path, ignore_errors=True)
    try:
        for name in _COPIED:
            if (source.path / name).exists():
                write_atomically(work.path / name, (source.path / name).read_bytes())
        write_atomically(work.resolved, to_yaml(row.experiment))
        work.write_json(work.model, {**row.network.summary(), "weights": None})
        files.write(work.weights, comparison.stored, run_description(work))
        document = {
            "of": str(source.path.resolve()),
            "step": restored.checkpoint.step,
            "epoch": restored.checkpoint.epoch,
            "sha256": sha256(work.weights),
            "file_bytes": work.weights.stat().st_size,
            "comparison": {**comparison.document(), "rows": [comparison.row(comparison.rows[0]), comparison.row(row)]},
        }
        work.write_json(work.compression, document)
        set_status(work, "finished", f"compressed: {row.choice}, of {source.path}")
        if folder.exists():
            folder.rmdir()
        work.path.rename(folder)
    except BaseException:
        shutil.rmtree(work.path, ignore_errors=True)
        raise
    fsync_directory(folder.parent)
    return document
