"""Label files in the XML of Pascal VOC (Everingham et al. 2010): an object's name and bndbox of xmin, ymin, xmax, ymax.

Pixels count from 1, and the maxima are inside: xmin 1 and xmax 640 are all of an image that is 640 wide.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

import numpy as np

from cnnlab.data.boxes import BadAnnotation, Objects
from cnnlab.errors import did_you_mean

EDGES = ("ymin", "xmin", "ymax", "xmax")


class _Refused(ValueError):
    """The file has what no annotation needs."""


@dataclass
class Annotation:
    """What an XML file says, as text: of each object its line, its name and its edges by their tags; and the size."""

    lines: list[int] = field(default_factory=list)
    objects: list[dict[str, str]] = field(default_factory=list)
    size: dict[str, str] = field(default_factory=dict)


def read_voc(path: Path, file: str, where: str) -> tuple[Annotation, list[BadAnnotation]]:
    """What the XML file at `path`, called `where` in messages, says of the image `file`; and what is wrong with it.

    The parser is expat, which reads nothing but this file; entities, with which a small file becomes a huge one, are
    refused.
    """
    found, above, texts = Annotation(), [], [""]
    parser = expat.ParserCreate()

    def entity(*_: object) -> None:
        raise _Refused("it declares entities, which no annotation needs")

    def start(name: str, _: Mapping[str, str]) -> None:
        above.append(name)
        texts.append("")
        if above[1:] == ["object"]:
            found.lines.append(parser.CurrentLineNumber)
            found.objects.append({})

    def end(name: str) -> None:
        text = texts.pop().strip()
        match above[1:]:
            case ["object", "name"] | ["object", "bndbox", _]:
                found.objects[-1][name] = text
            case ["size", _]:
                found.size[name] = text
        above.pop()

    def characters(text: str) -> None:
        texts[-1] += text

    parser.EntityDeclHandler = entity
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, characters
    try:
        parser.Parse(path.read_bytes(), True)
    except (OSError, expat.ExpatError, _Refused) as error:
        why = getattr(error, "strerror", None) or error
        message = f"cannot be read: {why}"
        return Annotation(), [BadAnnotation("annotation", file, message, where=where, hint="write it again")]
    return found, []


def objects_of(found: Annotation, names: tuple[str, ...], file: str, where: str) -> tuple[Objects, list[BadAnnotation]]:
    """The annotation's boxes, their classes by `names`; and what is wrong with it."""
    rows, numbers, wrong = [], [], []
    for line, one in zip(found.lines, found.objects, strict=True):
        name = one.get("name", "")
        lacking = [key for key in ("name", *EDGES) if key not in one]
        message = hint = ""
        if lacking:
            message, hint = f"an object without {lacking[0]}", "name, and bndbox with xmin, ymin, xmax, ymax"
        elif strange := [key for key in EDGES if not _is_number(one[key])]:
            message = f"{strange[0]} is '{one[strange[0]][:60]}', and no number"
        elif name not in names:
            message, hint = f"no class '{name}'", did_you_mean(name, names) or f"there are {', '.join(names)}"
        if message:
            kind = "box_class" if not lacking and name not in names else "annotation"
            wrong.append(BadAnnotation(kind, file, message, where=f"{where}:{line}", hint=hint))
            continue
        top, left, bottom, right = (float(one[key]) for key in EDGES)
        rows.append([top - 1, left - 1, bottom, right, names.index(name)])
        numbers.append(line)
    sides = [found.size.get(key, "") for key in ("height", "width")]
    known = all(side.isdecimal() and int(side) > 0 for side in sides)  # some tools write 0
    size = (int(sides[0]), int(sides[1])) if known else None
    boxes = np.array(rows, np.float64).reshape(-1, 5)
    return Objects(boxes, numbers, f"{where}:", size=size, size_where=where), wrong


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
