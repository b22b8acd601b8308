"""YAML as plain data with a position for every key and value: YAML 1.2 scalars, no key given twice.

PyYAML parses; its 1.1 rules for scalars (`no` is False, `1e-3` a string, `010` is 8) are replaced by the
core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema).
"""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from cnnlab.errors import SpecError

Path = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_LARGEST = 100_000  # nodes: aliases of aliases can ask for more than any machine has


def scalar(text: str) -> Any:
    """A plain scalar by the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if text.startswith(("0o", "0x")):
        try:
            return int(text, 0)
        except ValueError:
            return text
    return float(text) if _FLOAT.fullmatch(text) else text


@dataclass
class Document:
    """Plain data, and where (`file:line:column`) the value at every path stands."""

    source: str
    data: Any = None
    positions: dict[Path, str] = field(default_factory=dict)
    keys: dict[Path, str] = field(default_factory=dict)
    errors: list[SpecError] = field(default_factory=list)

    def where(self, path: Path, *, key: bool = False) -> str:
        """The position of the key or value at `path`, or of the nearest thing that holds it."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions.get(path, self.source)


def parse(text: str, source: str) -> Document:
    """Read one YAML document. Raises SpecError where it is no YAML; doubled keys are listed in `errors`."""
    document = Document(source)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise SpecError(f"not YAML: {error.problem}", where=_position(source, mark), hint="see yaml.org/spec") from None
    except yaml.YAMLError as error:
        raise SpecError(f"not YAML: {' '.join(str(error).split())}", where=source) from None
    if node is not None:
        document.data = _read(node, (), document, ())
    return document


def _position(source: str, mark: Any) -> str:
    return source if mark is None else f"{source}:{mark.line + 1}:{mark.column + 1}"


def _read(node: yaml.Node, path: Path, document: Document, above: tuple[int, ...]) -> Any:
    where = _position(document.source, node.start_mark)
    document.positions[path] = where
    if id(node) in above or len(document.positions) > _LARGEST:
        raise SpecError("an alias that holds itself, or far too many of them", where=where, hint="write it out")
    above = (*above, id(node))
    if isinstance(node, yaml.ScalarNode):
        if node.style is None and not node.tag.startswith("!"):
            return scalar(node.value)
        return node.value
    if isinstance(node, yaml.SequenceNode):
        return [_read(child, (*path, i), document, above) for i, child in enumerate(node.value)]
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise SpecError("a key must be a word", where=_position(document.source, key_node.start_mark))
        key = key_node.value
        here = _position(document.source, key_node.start_mark)
        if key in result:
            first = document.keys[(*path, key)]
            message = f"the key '{key}' is given twice, first at {first}"
            document.errors.append(SpecError(message, where=here, hint="keep one of them"))
            continue
        document.keys[(*path, key)] = here
        result[key] = _read(value_node, (*path, key), document, above)
    return result
