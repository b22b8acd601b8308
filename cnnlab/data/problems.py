"""What a source does about something wrong with its files: it stops there, or tells it and goes on without."""

from collections.abc import Callable

from cnnlab.errors import CnnlabError

Problem = Callable[[CnnlabError], None]


def stop(error: CnnlabError) -> None:
    """Raises it: training wants all of the data, or none."""
    raise error
