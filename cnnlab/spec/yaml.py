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
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
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
_DIGITS = 1000  # of a whole number: Python refuses to print some thousands


def scalar(text: str) -> Any:
    """A plain scalar by the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _DIGITS:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text


def dotted(path: Path) -> str:
    """`model.layers[3].conv.kernel`, as people write it."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


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
        node = yaml.compose(text, Loader=_Loader)
        if node is not None:
            document.data = _read(node, (), document, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = ", ".join(filter(None, (error.context, error.problem)))
        raise SpecError(f"not YAML: {message}", where=_position(source, mark), hint="see yaml.org/spec") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position)
        where = f"{source}:{line + 1}:{error.position - text.rfind(chr(10), 0, error.position)}"
        message = f"not YAML: the character {chr(error.character)!r} is not allowed"
        raise SpecError(message, where=where, hint="take it out") from None
    except RecursionError:
        raise SpecError("lists and mappings are nested too deeply", where=source, hint="write it flatter") from None
    return document


class _Loader(yaml.SafeLoader):
    """Leaves a node's tag empty where the file gives none, so that a given one can be told."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        return ""


def _position(source: str, mark: Any) -> str:
    return source if mark is None else f"{source}:{mark.line + 1}:{mark.column + 1}"


def _read(node: yaml.Node, path: Path, document: Document, above: tuple[int, ...]) -> Any:
    where = _position(document.source, node.start_mark)
    document.positions[path] = where
    if id(node) in above or len(document.positions) > _LARGEST:
        raise SpecError("an alias that holds itself, or far too many of them", where=where, hint="write it out")
    if node.tag:
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        raise SpecError(f"the tag {tag} has no meaning in a spec", where=where, hint="leave it out")
    above = (*above, id(node))
    if isinstance(node, yaml.ScalarNode):
        return node.value if node.style else scalar(node.value)
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
