"""Label files in YOLO's form: a line for each object, `class cx cy w h` in shares of the image's width and height.

https://docs.ultralytics.com/datasets/detect/ has the form, and .../segment/ the lines of polygons, `class x1 y1 x2 y2
x3 y3 ...`, of which the box around is taken.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnlab.data.boxes import BadAnnotation, Objects
from cnnlab.errors import CnnlabError, DataError
from cnnlab.spec import yaml

NAMES = ("data.yaml", "classes.txt")  # files with the names of the classes
LONGEST = 60  # of a line in a message
MOST = 1000  # classes without names: a greater number is none of one


def read_yolo(path: Path, file: str, where: str) -> tuple[Objects, list[BadAnnotation]]:
    """What the label file at `path`, called `where` in messages, says of the image `file`; and its wrong lines."""
    wrong: list[BadAnnotation] = []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text in UTF-8"
        wrong.append(BadAnnotation("annotation", file, f"cannot be read: {why}", where=where, hint="repair it"))
        text = ""
    rows, numbers = [], []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            rows.append(_row(words))
            numbers.append(number)
        except ValueError as error:
            hint = "a line is 'class cx cy w h', or 'class x1 y1 x2 y2 x3 y3 ...' of a polygon"
            wrong.append(BadAnnotation("annotation", file, str(error), where=f"{where}:{number}", hint=hint))
    return Objects(np.array(rows, np.float64).reshape(-1, 5), numbers, f"{where}:", shares=True), wrong


def _row(words: Sequence[str]) -> list[float]:
    """y0, x0, y1, x1, class. ValueError that says what is wrong with the line."""
    if len(words) != 5 and (len(words) < 7 or len(words) % 2 == 0):
        shown = " ".join(words)
        raise ValueError(f"{len(words)} numbers, '{shown[:LONGEST]}{'...' if len(shown) > LONGEST else ''}'")
    for word in words:
        try:
            float(word)
        except ValueError:
            raise ValueError(f"'{word[:LONGEST]}' is no number") from None
    label, *numbers = map(float, words)
    if len(numbers) == 4:
        x, y, width, height = numbers
        return [y - height / 2, x - width / 2, y + height / 2, x + width / 2, label]
    x, y = numbers[0::2], numbers[1::2]
    return [min(y), min(x), max(y), max(x), label] if np.isfinite(numbers).all() else [np.nan] * 5


def find_names(folders: Sequence[Path]) -> tuple[str, ...] | None:
    """The names of the classes, by number, out of the first data.yaml or classes.txt; None where there is neither.

    Raises DataError where the file does not say them.
    """
    for path in (folder / name for folder in folders for name in NAMES):
        if path.is_file():
            try:
                text = path.read_text(encoding="utf-8-sig")
            except (OSError, UnicodeDecodeError) as error:
                why = getattr(error, "strerror", None) or "it is no text in UTF-8"
                raise DataError(f"cannot be read: {why}", where=str(path), hint="or give data.box_classes") from None
            names = _of_yaml(text, path) if path.suffix == ".yaml" else [line.strip() for line in text.splitlines()]
            names = names if path.suffix == ".yaml" else [name for name in names if name]
            for name in names:
                if names.count(name) > 1:
                    raise DataError(f"names '{name}' twice", where=str(path), hint="names tell classes apart")
            if not names:
                raise DataError("names no class", where=str(path), hint="or give data.box_classes")
            return tuple(names)
    return None


def _of_yaml(text: str, path: Path) -> list[str]:
    """`names` of a data.yaml, a list or a mapping from 0; its other keys say what the spec says here."""
    hint = "names: [cat, dog], or names: {0: cat, 1: dog}"
    try:
        document = yaml.parse(text, str(path))
    except CnnlabError as error:
        raise DataError(error.message, where=error.where, hint=error.hint) from None
    found: Any = document.data.get("names") if isinstance(document.data, dict) else None
    if isinstance(found, dict):
        numbers = {int(key): name for key, name in found.items() if str(key).isdecimal()}
        if sorted(numbers) != list(range(len(found))):
            raise DataError("names are not numbered 0, 1, 2, ...", where=document.where(("names",)), hint=hint)
        found = [numbers[i] for i in range(len(numbers))]
    if not isinstance(found, list) or not all(isinstance(name, str | int | float) for name in found):
        raise DataError("no names of classes", where=document.where(("names",)), hint=hint)
    count = document.data.get("nc")
    if count is not None and count != len(found):
        message = f"nc is {count}, and there are {len(found)} names"
        raise DataError(message, where=document.where(("nc",)), hint="take nc out, or name all classes")
    return [str(name) for name in found]


def numbered(said: Sequence[Objects]) -> tuple[str, ...]:
    """Names of classes that have none: "0", "1", ... up to the greatest number."""
    greatest = max(_greatest(said), default=0.0)
    return tuple(map(str, range(int(greatest) + 1)))


def _greatest(said: Sequence[Objects]) -> Iterator[float]:
    """Of each image the greatest number of a class that can be one."""
    for objects in said:
        labels = objects.rows[:, 4]
        good = labels[(labels >= 0) & (labels % 1 == 0) & (labels < MOST)]
        yield from good.tolist()
