"""Ctrl-C and SIGTERM: a flag that the loop looks at, so that a step is never torn."""

import signal
from types import FrameType
from typing import Any


class StopSignals:
    """While entered, the first SIGINT or SIGTERM is only noted; the second one ends the program at once."""

    def __init__(self):
        self.number: int | None = None

    def __enter__(self) -> "StopSignals":
        self._before: dict[int, Any] = {n: signal.signal(n, self._note) for n in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.number is not None:
            raise KeyboardInterrupt
        self.number = number

    def asked_to_stop(self) -> bool:
        """Whether a signal has come."""
        return self.number is not None
