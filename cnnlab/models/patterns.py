"""Parts of a network by pattern: `stem`, `stage*`, `*.norm1`, `head.bias`."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from cnnlab.errors import SpecError, did_you_mean


def matches(path: str, pattern: str) -> bool:
    """Whether the pattern names the parameter or layer at `path`, or a part of the network that it lies in."""
    return any(fnmatchcase(part, pattern) for part in _all_parts([path]))


def check_patterns(patterns: Iterable[str], paths: Iterable[str], where: str) -> None:
    """Raises SpecError for a pattern that no path matches."""
    paths = list(paths)
    for pattern in patterns:
        if not any(matches(path, pattern) for path in paths):
            top = list(dict.fromkeys(path.partition(".")[0] for path in paths))
            hint = did_you_mean(pattern, _all_parts(paths)) or f"its parts are {', '.join(top)}"
            raise SpecError(f"'{pattern}' matches no layer of the network", where=where, hint=hint)


def _all_parts(paths: Iterable[str]) -> list[str]:
    """Every path and what it lies in: a.b.c, a.b and a."""
    parts = [path.split(".") for path in paths]
    return list(dict.fromkeys(".".join(part[: i + 1]) for part in parts for i in range(len(part))))
