"""`source: coco`: images, annotations and categories in COCO's JSON (Lin et al. 2014), one file for all or for each
split."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from cnnlab.data.bad_files import with_pixels, without_bad_annotations
from cnnlab.data.boxes import BadAnnotation, Objects, tell, with_boxes
from cnnlab.data.dataset import Dataset, find
from cnnlab.data.masked_folder import SPLITS
from cnnlab.data.problems import Problem, stop
from cnnlab.errors import DataError
from cnnlab.spec.coco import Coco

# What is used of it. Outlines, most of such a file, are dropped while it is read.
KEYS = ("images", "annotations", "categories", "id", "file_name", "width", "height", "name")
KEYS += ("image_id", "category_id", "bbox", "iscrowd")
LISTS = ("images", "annotations", "categories")

Entry = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Annotations:
    """A JSON file: its lists, what messages call it, and the folder, below that of the images, where its own are."""

    images: Sequence[Entry]
    annotations: Sequence[Entry]
    categories: Sequence[Entry]
    where: str
    folder: str


def load(data: Coco, base: Path) -> Dataset:
    """uint8 [example, height, width, channels] in the order of the JSON files' images, training first.

    Targets: "boxes", of classes in the order of their categories' ids; "labels", which of them have a box. Crowds
    (`iscrowd`) are left out and counted. A file_name starts at `path`, or at the first folder below it of these that
    has it: train (val, valid, validation, test), what stands behind the last _ of the JSON's name (train2017), images,
    and the JSON's own folder. Raises DataError.
    """
    root = find(data.path, base)
    return with_pixels(without_bad_annotations(listed, data, base), root, data, data.path, base)


def listed(data: Coco, base: Path, problem: Problem = stop) -> Dataset:
    """`load`'s dataset before any image is decoded: x is [example, 0]. What `problem` lets pass is left out."""
    root = find(data.path, base)
    if not root.is_dir():
        raise DataError(f"{root} is a file, and the folder of the images is wanted", where=data.path)
    paths = {split: getattr(data, split) for split in ("annotations", "train", "validation", "test")}
    parts = {split: _read(find(path, base), path, root, split) for split, path in paths.items() if path is not None}
    ids, names = _categories(list(parts.values()))
    wrong: list[BadAnnotation] = []
    first: dict[str, str] = {}
    files, said, given, crowds = [], [], {}, 0
    for split, part in parts.items():
        start = len(files)
        images = _images(part, root, first, wrong)
        objects, crowd = _objects(part, images, ids, wrong)
        files += images.values()
        said += objects
        crowds += crowd
        given[split] = np.arange(start, len(files))
    tell(wrong, problem)
    if not files:
        raise DataError("names no image that is there", where=next(iter(parts.values())).where)
    notes = tuple(_notes(said, crowds, data))
    x, y = np.empty((len(files), 0), np.uint8), np.zeros(len(files), np.int32)
    given = {} if "annotations" in given else given
    dataset = Dataset(x, y, (), tuple(files), given, notes, data.source)
    return with_boxes(dataset, said, names, root, data, problem)


def _read(path: Path, where: str, root: Path, split: str) -> Annotations:
    if path.is_dir():
        raise DataError(f"{path.name} is a folder, and a JSON file is wanted", where=where)
    try:
        with path.open(encoding="utf-8-sig") as file:
            content = json.load(file, object_hook=lambda entry: {key: entry[key] for key in KEYS if key in entry})
    except json.JSONDecodeError as error:
        where = f"{where}:{error.lineno}:{error.colno}"
        raise DataError(f"no JSON: {error.msg}", where=where, hint="copy or write it again") from None
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"cannot be read: {why}", where=where, hint="copy or write it again") from None
    hint = "COCO's object detection has images, annotations and categories"
    if not isinstance(content, dict):
        raise DataError("no mapping with images, annotations and categories", where=where, hint=hint)
    for key in LISTS:
        if not isinstance(content.get(key), list):
            raise DataError(f"no list '{key}'", where=where, hint=hint)
        strange = next((i for i, entry in enumerate(content[key]) if not isinstance(entry, dict)), None)
        if strange is not None:
            raise DataError(f"{key}[{strange}] is no mapping", where=where, hint=hint)
    folder = _folder(content["images"], path, root, split)
    return Annotations(*(content[key] for key in LISTS), where=where, folder=folder)


def _folder(images: Sequence[Entry], path: Path, root: Path, split: str) -> str:
    """The first folder below `root` that has the first of the images; "" is `root` itself, also where none has."""
    own = path.parent.relative_to(root).as_posix() if path.parent.is_relative_to(root) else ""
    aliases = [name for name, of in SPLITS.items() if of == split]
    names = [str(entry["file_name"]) for entry in images[:1] if "file_name" in entry]
    for folder in ("", *aliases, path.stem.rpartition("_")[2], "images", own):
        if names and _is_file(root / folder / names[0]):
            return "" if folder == "." else folder
    return ""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or with a zero byte
        return False


def _categories(parts: Sequence[Annotations]) -> tuple[dict[int, int], tuple[str, ...]]:
    """The place of each category's id, and the names, in the order of the ids, the same in all files."""
    names: dict[int, tuple[str, str]] = {}
    for part in parts:
        here: set[int] = set()
        for i, entry in enumerate(part.categories):
            where, number, name = f"{part.where}: categories[{i}]", entry.get("id"), entry.get("name")
            if not _whole(number) or not isinstance(name, str) or not name:
                message = f"id is {number!r} and name {name!r}"
                raise DataError(message, where=where, hint="a category has a whole number and a name")
            if number in here:
                raise DataError(f"the id {number} is there twice", where=where, hint="ids tell categories apart")
            here.add(number)
            known, other = names.setdefault(number, (name, part.where))
            if known != name:
                message = f"the category {number} is '{name}', and '{known}' in {other}"
                raise DataError(message, where=where, hint="splits share their categories")
    ordered = tuple(names[number][0] for number in sorted(names))
    twice = next((name for name in ordered if ordered.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"two categories are called '{twice}'", where=parts[0].where, hint="names tell classes apart")
    if not names:
        raise DataError("no categories", where=parts[0].where, hint="they name the classes")
    return {number: place for place, number in enumerate(sorted(names))}, ordered


def _images(part: Annotations, root: Path, first: dict[str, str], wrong: list[BadAnnotation]) -> dict[int, str]:
    """The file of each image by its id, those left out with which something is `wrong`; `first` has their places."""
    images: dict[int, str] = {}
    for i, entry in enumerate(part.images):
        where, number, name = f"{part.where}: images[{i}]", entry.get("id"), entry.get("file_name")
        file = f"{part.folder}/{name}" if part.folder else str(name)
        kind = "annotation"
        if not _whole(number) or not isinstance(name, str) or not name:
            file, message = "", f"id is {number!r} and file_name {name!r}"
            hint = "an image has a whole number and a file"
        elif number in images:
            message, hint = f"the id {number} is that of {images[number]} too", "ids tell images apart"
            # Nobody knows of which of both an annotation is.
            wrong.append(BadAnnotation(kind, images[number], f"the id {number} is there twice", where=where, hint=hint))
        elif file in first:
            message, hint = f"{name} stands in {first[file]} too", "an image is in one split, and once"
        elif not _is_file(root / file):
            kind, message, hint = "no_image", f"there is no file {name}", f"it would be in {root / part.folder}"
        else:
            images[number], first[file] = file, where
            continue
        wrong.append(BadAnnotation(kind, file, message, where=where, hint=hint))
    return images


def _objects(
    part: Annotations, images: Mapping[int, str], ids: Mapping[int, int], wrong: list[BadAnnotation]
) -> tuple[list[Objects], int]:
    """What is said of each image, and how many crowds were left out."""
    rows: dict[int, list[list[float]]] = {number: [] for number in images}
    numbers: dict[int, list[int]] = {number: [] for number in images}
    entries: dict[int, tuple[int, Entry]] = {}
    for i, entry in enumerate(part.images):
        if _whole(entry.get("id")):
            entries.setdefault(entry["id"], (i, entry))
    crowds = 0
    for i, entry in enumerate(part.annotations):
        image = entry.get("image_id")
        kind, message, hint = _mistake(entry, entries, ids)
        if kind:
            where = f"{part.where}: annotations[{i}]"
            file = images.get(image, "") if _whole(image) else ""
            wrong.append(BadAnnotation(kind, file, message, where=where, hint=hint))
        elif entry.get("iscrowd"):
            crowds += 1
        elif _whole(image) and image in images:  # else something is wrong with its image, which was told
            x, y, width, height = entry["bbox"]
            rows[image].append([y, x, y + height, x + width, ids[entry["category_id"]]])
            numbers[image].append(i)
    said = []
    for number in images:
        place, entry = entries[number]
        boxes, where = np.array(rows[number], np.float64).reshape(-1, 5), f"{part.where}: images[{place}]"
        before = f"{part.where}: annotations["
        said.append(Objects(boxes, numbers[number], before, "]", size=_size(entry), size_where=where))
    return said, crowds


def _mistake(entry: Entry, images: Mapping[Any, Any], categories: Mapping[int, int]) -> tuple[str, str, str]:
    """The kind of what is wrong with an annotation, a sentence and a way out; nothing where it is good."""
    image, category, box = (entry.get(key) for key in ("image_id", "category_id", "bbox"))
    if not _whole(image) or image not in images:
        return "no_image", f"there is no image with the id {image!r}", "image_id is the id of one of images"
    if not _whole(category) or category not in categories:
        few = ", ".join(map(str, sorted(categories)[:5])) + (", ..." if len(categories) > 5 else "")
        return "box_class", f"there is no category with the id {category!r}", f"there are {few}"
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(value) for value in box):
        return "annotation", f"bbox is {str(box)[:60]}", "it is [x, y, width, height] in pixels"
    return "", "", ""


def _size(entry: Entry) -> tuple[int, int] | None:
    """Height and width where they are said; some tools leave them out, or write 0."""
    height, width = entry.get("height"), entry.get("width")
    return (height, width) if _whole(height) and _whole(width) and height > 0 and width > 0 else None


def _notes(said: Sequence[Objects], crowds: int, data: Coco) -> Iterator[str]:
    empty = sum(not objects.numbers for objects in said)
    if empty:
        yield f"{data.path}: of {empty:,} of {len(said):,} images there is no annotation: there are no objects in them"
    if crowds:
        yield f"{data.path}: {crowds:,} annotations of crowds (iscrowd) are left out"


def _whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    """Of a whole number of any length, whether float64 has one."""
    return isinstance(value, float) or (_whole(value) and abs(value) < 1e300)
