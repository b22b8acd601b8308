"""Which run a fold is: `<name>-fold2`, beside those of the other folds."""

import re
from pathlib import Path

from cnnlab.errors import SpecError
from cnnlab.spec.load import load
from cnnlab.spec.schema import Experiment

ALL = "all"


def run_name(experiment: Experiment) -> str:
    """What the run directory is called: the experiment's name, and the fold that validates."""
    name, split = experiment.name or "", experiment.data.split
    return name if split is None or split.fold is None else f"{name}-fold{split.fold}"


def fold_overrides(fold: str | None) -> list[str]:
    """`--fold 2` as a setting of the spec. Raises SpecError where it is neither a number nor all."""
    if fold is None:
        return []
    if fold != ALL and not re.fullmatch(r"[1-9][0-9]{0,8}", fold):
        raise SpecError(f"--fold: '{fold}' is no fold", hint="a number from 1, or all")
    return [f"data.split.fold={1 if fold == ALL else fold}"]


def folds_of(spec: Path, overrides: list[str], fold: str) -> list[int]:
    """The numbers that `--fold` asks for. Raises SpecError where the spec has no folds."""
    if fold != ALL:
        return [int(fold)]
    split = load(spec, [*overrides, *fold_overrides(fold)]).data.split
    assert split is not None
    assert split.folds is not None, "the spec has no fold without folds"
    return list(range(1, split.folds + 1))


def summary_path(name: str, chosen: Path | None) -> Path:
    """Where the folds' summary goes: beside runs/<name>-fold1, or into the directory that holds them all."""
    return Path("runs") / f"{name}-folds.json" if chosen is None else chosen / "folds.json"
