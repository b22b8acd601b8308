"""Ctrl-C and SIGTERM: a flag that the loop looks at, so that a step is never torn."""

import signal
from types import FrameType
from typing import Any

from cnnlab.train import hosts


class StopSignals:
    """While entered, the first SIGINT or SIGTERM is only noted; the second one ends the program at once.

    `number` is that of the signal for which all stop: it may have come to another process of the job.
    """

    def __init__(self):
        self.number: int | None = None
        self._noted = 0

    def __enter__(self) -> "StopSignals":
        self._before: dict[int, Any] = {n: signal.signal(n, self._note) for n in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self._noted:
            raise KeyboardInterrupt
        self._noted = number

    def asked_to_stop(self) -> bool:
        """Whether a signal has come, to this process or to another of the job. All have to ask together."""
        self.number = hosts.largest(self._noted) or None
        return self.number is not None


def name_of(number: int) -> str:
    """What a message calls the signal."""
    return "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
