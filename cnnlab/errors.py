"""What can go wrong, as sentences for a person: where, what, the value, the way out."""


class CnnlabError(Exception):
    """An error that a user can act on.

    `where` is a position (``lenet.yaml:14:9``) or a path, `message` says what is wrong with which value,
    `hint` the way out. `exit_code` follows the contract: 2 for wrong input, 1 for work that failed.
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "", where: str = ""):
        self.message, self.hint, self.where = message, hint, where
        super().__init__(message)

    def __str__(self) -> str:
        sentence = f"{self.where}: {self.message}" if self.where else self.message
        sentence = f"{sentence}; {self.hint}" if self.hint else sentence
        return "\n  ".join(map(printable, sentence.split("\n  ")))  # lists stand on lines of their own, indented


class SpecError(CnnlabError):
    """The spec asks for something that is not there, not possible or contradictory."""


class DataError(CnnlabError):
    """The data cannot be read, or is not what the spec says."""


class RunError(CnnlabError):
    """A run directory is missing, damaged, taken, or not one."""


class SpecErrors(SpecError):
    """All errors of one spec at once, a sentence each."""

    def __init__(self, errors: list[SpecError]):
        self.errors = errors
        super().__init__("\n".join(map(str, errors)))

    def __str__(self) -> str:
        return self.message


class FetchError(CnnlabError):
    """The network or the disk did not let a data set be fetched; what has come is kept."""

    exit_code = 1


class HostError(CnnlabError):
    """A process of a job cannot be reached, or has ended before the others."""

    exit_code = 1


class WorkerError(CnnlabError):
    """A process that reads examples for this one has ended before its time."""

    exit_code = 1


class Diverged(CnnlabError):
    """Training left the finite numbers, or every reasonable one; the last good checkpoint is kept."""

    exit_code = 1


class Interrupted(CnnlabError):
    """A signal asked the run to stop; its state is saved. `exit_code` is 128 plus the signal's number."""

    def __init__(self, message: str, *, signal_number: int, hint: str = ""):
        super().__init__(message, hint=hint)
        self.exit_code = 128 + signal_number


def printable(text: str) -> str:
    """The text on one line: what is no character to look at, as in a file's name, becomes its escape."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def did_you_mean(word: str, known: list[str] | tuple[str, ...]) -> str:
    """The hint ``did you mean 'stride'?`` for the nearest known word, capitals aside, or an empty string.

    The one word that begins like it is nearer than any other.
    """
    from difflib import get_close_matches

    by_small_letters = {name.lower(): name for name in known}
    longer = [name for name in by_small_letters if len(word) > 2 and name.startswith(word.lower())]
    nearest = longer if len(longer) == 1 else get_close_matches(word.lower(), by_small_letters, n=1, cutoff=0.6)
    return f"did you mean '{by_small_letters[nearest[0]]}'?" if nearest else ""
