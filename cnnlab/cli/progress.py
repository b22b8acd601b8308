"""Progress of a training run on stderr: a live bar on a terminal, a line an epoch elsewhere."""

import sys
from typing import Any

from cnnlab.cli import render
from cnnlab.runs.training import line
from cnnlab.spec.schema import Experiment
from cnnlab.train.loop import EpochEnd, Progress


class Display:
    """Shows what the loop yields. `quiet` shows nothing at all."""

    def __init__(self, experiment: Experiment, *, quiet: bool):
        self.epochs, self.quiet = experiment.train.epochs, quiet
        self.validation = ""
        self.bar: Any = None

    def __enter__(self) -> "Display":
        if not self.quiet and sys.stderr.isatty():
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar
            from rich.table import Column

            whole = Column(no_wrap=True, min_width=7)  # at 80 columns the bar gives way, not the time left
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=None),
                TextColumn("{task.fields[figures]}", markup=False),
                TimeRemainingColumn(table_column=whole),
            )
            self.bar = Bar(*columns, console=render.stderr(), transient=True, expand=True)
            self.task = self.bar.add_task("compiling", total=None, figures="")
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def note(self, text: str) -> None:
        """A warning, above the bar."""
        if not self.quiet:
            render.note(text)

    def show(self, event: Progress | EpochEnd, steps_per_epoch: int) -> None:
        """One event of the loop."""
        if isinstance(event, EpochEnd):
            row = event.row
            if "validation/accuracy" in row:
                self.validation = f" validation {row['validation/accuracy']:.4f}"
            self._update(row["epoch"], row["step"], row["train/loss"], row["images_per_second"], steps_per_epoch)
            if self.bar is None and not self.quiet:
                print(line(row, self.epochs), file=sys.stderr, flush=True)
            for note in event.notes:
                self.note(note)
        else:
            self._update(event.epoch, event.step, event.loss, event.images_per_second, steps_per_epoch)

    def _update(self, epoch: float, step: float, loss: float, speed: float, steps_per_epoch: int) -> None:
        if self.bar is not None:
            self.bar.update(
                self.task,
                description=f"epoch {epoch}/{self.epochs} step {step}",
                total=self.epochs * steps_per_epoch,
                completed=step,
                figures=f"loss {loss:.4f}{self.validation} {speed:,.0f} images/s",
            )
