"""How far a look at many files has come, told to whoever wants to show it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Listener = Callable[[int, int], None]  # how many are done, of how many
Item = TypeVar("Item")
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def watched(listener: Listener) -> Iterator[None]:
    """Within this, `listener` hears of every file that `counted` counts."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def counted(items: Iterable[Item], total: int) -> Iterator[Item]:
    """The items as they come, of which there are `total`."""
    listener = _listener.get()
    for done, item in enumerate(items, 1):
        if listener is not None:
            listener(done, total)
        yield item
