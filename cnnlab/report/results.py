"""What a run comes to: tables and pictures of its splits, written to the run and handed to who shows them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from cnnlab.files import write_atomically
from cnnlab.report.costs import costs
from cnnlab.report.figures import curves_png
from cnnlab.report.pictures import pictures
from cnnlab.runs import history
from cnnlab.runs.evaluation import Restored, evaluate_split, with_state
from cnnlab.runs.training import Started, recorded, set_status
from cnnlab.train import hosts
from cnnlab.train.step import Sizes, compile_program
from cnnlab.train.stopping import ERRORS, ending, watched


@dataclass(frozen=True)
class Outcome:
    """The report of one split (as metrics.json has it), and the step that it is of.

    `complete` draws the `pictures` that it names: a second's work, for after the tables are shown.
    """

    run: str
    which: str
    step: int
    epoch: int
    report: dict[str, Any]
    chosen_by: str
    epochs: int
    notes: tuple[str, ...]
    pictures: tuple[str, ...] = ()
    complete: Callable[[], None] = lambda: None
    costs: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """What `cnnlab train --json` prints."""
        return {
            "run": self.run,
            "epochs": self.epochs,
            "checkpoint": {"which": self.which, "step": self.step, "epoch": self.epoch, "chosen_by": self.chosen_by},
            "costs": self.costs,
            "metrics": self.report,
        }


def finish(started: Started) -> Outcome:
    """The last work of training: the best step's figures for validation and test.

    With `complete` the curves are drawn too, and the run is finished.
    """
    run, prepared = started.run, started.prepared
    program = started.program
    if hosts.processes() > 1:  # the others are done, and this is what 'cnnlab eval' does
        program = compile_program(started.experiment, Sizes.of(started.experiment, prepared))
    restored = with_state(run, started.experiment, prepared, program, "best")
    splits = [name for name in ("validation", "test") if name in prepared.splits] or ["train"]
    # Intervals and all pictures are of the split that the run is told by; `eval` makes those of the others.
    outcomes = [evaluate(restored, split, "best", brief=split != splits[-1]) for split in splits]
    rows = history.read(run.history)
    best = history.best_row(run.history, started.stopping)
    chosen = {"epoch": restored.checkpoint.epoch, "step": restored.checkpoint.step, "by": started.stopping.metric}
    reason = ending(rows, started.stopping, started.experiment.train.epochs)

    def complete() -> None:
        with recorded(run):
            for outcome in outcomes:
                outcome.complete()
            curves = curves_png(rows, None if best is None else int(best["epoch"]), started.program.task.curve)
            write_atomically(run.figures / "curves.png", curves)
            set_status(run, "finished", reason, epochs=len(rows), best=chosen)

    told = outcomes[-1]
    # What the perceptron's rule came to is worth a line.
    notes = (*told.notes, reason) if reason is not None and ERRORS in rows[-1] else told.notes
    return replace(told, notes=notes, complete=complete)


def evaluate(restored: Restored, split: str, which: str, *, brief: bool = False) -> Outcome:
    """Evaluate one split of a restored run; its tables and pictures go to eval/<split>/.

    `brief`: without intervals, and the first picture alone.
    """
    run, experiment = restored.run, restored.experiment
    report, found = evaluate_split(restored, split, which, brief=brief)
    drawings = pictures(restored.program.task, report, found)
    if brief:
        drawings = dict(list(drawings.items())[:1])

    def complete() -> None:
        for name, draw in drawings.items():
            write_atomically(run.evaluation(split, which) / name, draw())

    stopping = watched(experiment.train, has_validation="validation" in restored.prepared.splits)
    rows = history.read(run.history)
    at, notes = restored.checkpoint, restored.notes
    return Outcome(
        str(run.path),
        which,
        at.step,
        at.epoch,
        report,
        stopping.metric,
        len(rows),
        notes,
        tuple(drawings),
        complete,
        costs(run, rows),
    )
