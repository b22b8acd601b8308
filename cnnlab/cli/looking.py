"""A bar on stderr while many files are read, before there is anything else to show."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 0.5  # seconds; what is done by then shows nothing


@contextmanager
def looking(*, quiet: bool = False) -> Iterator[None]:
    """Shows how many files the data within has been read from; nothing where stderr is no terminal, or if `quiet`."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    from cnnlab.data.progress import watched

    bar = _Bar()
    try:
        with watched(bar.show):
            yield
    finally:
        bar.stop()


class _Bar:
    def __init__(self):
        self.since = time.monotonic()
        self.bar: Any = None
        self.task: Any = None

    def show(self, done: int, total: int) -> None:
        if self.bar is None and time.monotonic() - self.since >= PATIENCE:
            self._start()
        if self.bar is not None:
            self.bar.update(self.task, completed=done, total=total)

    def _start(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        from cnnlab.cli import render

        columns = (TextColumn("files"), BarColumn(bar_width=None), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Bar(*columns, console=render.stderr(), transient=True, expand=True)
        self.task = self.bar.add_task("", total=None)
        self.bar.start()

    def stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
