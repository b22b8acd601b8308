"""What a source does about something wrong with its files: it stops there, or tells it and goes on without."""

from collections.abc import Callable

from cnnlab.errors import DataError

Problem = Callable[[DataError], None]


def stop(error: DataError) -> None:
    """Raises it: training wants all of the data, or none."""
    raise error
