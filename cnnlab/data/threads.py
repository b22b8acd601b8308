"""The threads that read and decode, and how far ahead they may be."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Protocol, TypeVar

from cnnlab.data.memory import processors


class Cancellable(Protocol):
    """Work that was begun."""

    def cancel(self) -> Any: ...


Item = TypeVar("Item")
Work = TypeVar("Work", bound=Cancellable)


@cache
def pool() -> ThreadPoolExecutor:
    """The process's threads for reading, one a processor. What is asked first is done first."""
    return ThreadPoolExecutor(processors(), "reader")


def ahead(begin: Callable[[Item], Work], items: Iterable[Item], depth: int) -> Iterator[Work]:
    """`begin(item)` of every item in order, each yielded when the `depth` next ones are begun too.

    What was begun and not yielded is cancelled when the iterator is closed or forgotten.
    """
    begun: deque[Work] = deque()
    try:
        for item in items:
            begun.append(begin(item))
            if len(begun) > depth:
                yield begun.popleft()
        while begun:
            yield begun.popleft()
    finally:
        for work in begun:
            work.cancel()
