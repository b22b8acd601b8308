"""`KEY=VALUE` on the command line: any key of the spec, by its path."""

import re
from typing import Any

from cnnlab.errors import SpecError
from cnnlab.spec import yaml

_PART = re.compile(r"([^.\[\]=]+)|\[(\d+)\]")


def apply(document: yaml.Document, overrides: list[str]) -> None:
    """Set each `optimizer.learning_rate.peak=0.01` or `model.layers[0].conv.features=8` in the document."""
    for override in overrides:
        where = f"command line: {override}"
        key, equals, text = override.partition("=")
        path = _path(key)
        if not equals or not path:
            raise SpecError("an override is KEY=VALUE", where=where, hint="such as optimizer.learning_rate.peak=0.01")
        value = yaml.parse(text, where)
        if value.errors:
            raise value.errors[0]
        _set(document.data, path, value.data, where)
        for known in [p for p in document.positions if p[: len(path)] == path]:
            del document.positions[known]
        document.positions[path] = where
        for i in range(1, len(path) + 1):
            if i == len(path) or path[:i] not in document.keys:
                document.keys[path[:i]] = where
        document.keys.update({(*path, *inner): where for inner in value.keys})
        document.positions.update({(*path, *inner): where for inner in value.positions})


def _path(key: str) -> yaml.Path:
    parts: list[str | int] = []
    at = 0
    while at < len(key):
        match = _PART.match(key, at)
        if match is None:
            return ()
        parts.append(match[1] if match[1] is not None else int(match[2]))
        at = match.end() + (key[match.end() : match.end() + 1] == ".")
    return () if key.endswith(".") else tuple(parts)


def _set(data: Any, path: yaml.Path, value: Any, where: str) -> None:
    """Walk down `path`, making mappings that are not there yet, and set the value at its end."""
    for i, part in enumerate(path):
        _check(data, part, path[:i], where)
        if i == len(path) - 1:
            data[part] = value
        elif isinstance(data, dict) and part not in data:
            data[part] = {}
        data = data[part]


def _check(data: Any, part: str | int, above: yaml.Path, where: str) -> None:
    """Raises SpecError where `data` has no place for `part`."""
    shown = yaml.dotted(above) or "the spec"
    if isinstance(part, int):
        if not isinstance(data, list) or part >= len(data):
            count = len(data) if isinstance(data, list) else "no"
            raise SpecError(f"there is no entry [{part}]: {shown} has {count} entries", where=where)
    elif not isinstance(data, dict):
        hint = f"override {shown} as a whole, such as {shown}='{{{part}: ...}}'"
        raise SpecError(f"{shown} is {data!r} in the spec, not a mapping", where=where, hint=hint)
