"""Figures of a stored run: the state back from its checkpoint, a split through it, the tables written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnlab.data.prepare import Prepared, splits_from_csv
from cnnlab.data.prepare import restore as restore_data
from cnnlab.errors import RunError, did_you_mean
from cnnlab.files import write_atomically
from cnnlab.runs import history
from cnnlab.runs.directory import Run
from cnnlab.spec.load import load
from cnnlab.spec.schema import Experiment
from cnnlab.tasks.task import Found, Listing
from cnnlab.train import checkpoint
from cnnlab.train.checkpoint import Checkpoint
from cnnlab.train.evaluate import evaluate
from cnnlab.train.state import State, from_named
from cnnlab.train.step import Program, Sizes, compile_program
from cnnlab.train.stopping import watched
from cnnlab.weights.files import read as read_weights


@dataclass(frozen=True)
class Restored:
    """A run, ready to be used: its spec, data, compiled functions and a stored state."""

    run: Run
    experiment: Experiment
    prepared: Prepared
    program: Program
    state: State
    checkpoint: Checkpoint
    notes: tuple[str, ...]


def restore_run(run: Run, which: str) -> Restored:
    """The run's own data, split as it was in training, and its `best` or `last` state."""
    experiment = load(run.resolved, begun=True)
    try:
        splits = splits_from_csv(run.splits.read_text(encoding="utf-8"))
    except OSError:
        raise RunError("its splits.csv is missing", where=str(run.path)) from None
    prepared = restore_data(experiment.data, Path(), splits, run.read_json(run.data))
    return with_state(run, experiment, prepared, compile_program(experiment, Sizes.of(experiment, prepared)), which)


def with_state(run: Run, experiment: Experiment, prepared: Prepared, program: Program, which: str) -> Restored:
    """The run with its `best` or `last` state; see `load_state`."""
    has_validation = "validation" in prepared.splits
    return Restored(run, experiment, prepared, program, *load_state(run, experiment, program, which, has_validation))


def load_state(
    run: Run, experiment: Experiment, program: Program, which: str, has_validation: bool
) -> tuple[State, Checkpoint, tuple[str, ...]]:
    """The `best` or `last` state, as it is judged; where it is damaged, the next older good one, and a sentence
    that says so."""
    if run.compression.exists():
        return _compressed_state(run, program, which)
    candidates = checkpoint.stored(run.checkpoints)[::-1]
    best = (
        history.best_row(run.history, watched(experiment.train, has_validation=has_validation))
        if which == "best"
        else None
    )
    if best is not None:  # what is older than the best comes next, what is newer last
        candidates.sort(key=lambda c: (c.epoch > best["epoch"], -c.epoch))
    notes = []
    for candidate in candidates:
        try:
            state = program.seen(program.placed(checkpoint.load(candidate, program.host_state)))
        except RunError as error:
            notes.append(str(error))
            continue
        if notes:
            notes.append(f"step {candidate.step} is used instead")
        return state, candidate, tuple(notes)
    why = "; ".join(notes) or "it has no checkpoint yet"
    raise RunError(f"nothing to evaluate: {why}", where=str(run.path), hint="continue it with 'train --resume'")


def _compressed_state(run: Run, program: Program, which: str) -> tuple[State, Checkpoint, tuple[str, ...]]:
    """The state with the weights of `cnnlab compress`. Raises RunError where they are not as they were written."""
    content = run.read_json(run.compression)
    if which == "last":
        hint = "leave --checkpoint out"
        raise RunError("is compressed, and has no last step: it was made of the best", where=str(run.path), hint=hint)
    if not run.weights.exists() or checkpoint.sha256(run.weights) != content["sha256"]:
        hint = "make it again with 'cnnlab compress'"
        raise RunError("missing, or not as it was written (SHA-256)", where=str(run.weights), hint=hint)
    weights, _ = read_weights(run.weights)
    state = program.host_state
    state = state._replace(params=from_named(weights, state.params), stats=from_named(weights, state.stats))
    return program.placed(state), Checkpoint(run.weights, content["step"], content["epoch"]), ()


def evaluate_split(restored: Restored, split: str, which: str, *, brief: bool = False) -> tuple[dict[str, Any], Found]:
    """The report of a split, as metrics.json has it, and what it is made of; its files are written to eval/<split>/.

    `brief`: without intervals.
    """
    prepared, task = restored.prepared, restored.program.task
    if split not in prepared.splits:
        there = list(prepared.splits)
        hint = did_you_mean(split, there) or f"there are {', '.join(there)}"
        raise RunError(f"the run has no split '{split}'", where=str(restored.run.path), hint=hint)
    size = restored.experiment.data.batch_size
    state, indices = restored.state, prepared.splits[split]
    found = evaluate(restored.program, state.params, state.stats, prepared, split, size)
    report = task.report(found, split, None if brief else restored.experiment.seed)
    folder = restored.run.evaluation(split, which)
    files = prepared.dataset.files
    names = None if files is None else [files[i] for i in indices]
    restored.run.write_json(folder / "metrics.json", report)
    for name, content in task.files(found, report, Listing(split, indices, names)).items():
        write_atomically(folder / name, content)
    return report, found
