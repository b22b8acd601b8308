"""Folders of images with label files: which file is an image's, and what all of them say."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cnnlab.data.boxes import NOTHING, BadAnnotation, Objects, tell
from cnnlab.data.masked_folder import flat_files, images_in, of_splits, split_of
from cnnlab.data.problems import Problem
from cnnlab.data.voc import objects_of, read_voc
from cnnlab.data.yolo import find_names, numbered, read_yolo
from cnnlab.errors import DataError

IMAGES, LABELS = "images", "labels"
NO_LABELS = (".", "classes.txt", "readme")  # how names of files begin that lie there and say nothing of an image


def boxed_files(root: Path) -> tuple[list[str], dict[str, np.ndarray]] | None:
    """Images in the layouts of data for YOLO, relative to `root`, and the splits that are there.

    They lie in images/ or images/train/ and so on, in train/images/ (valid/images/), or as `flat_files` has them. None
    where class folders or others are below.
    """
    if (root / IMAGES).is_dir():
        found = flat_files(root / IMAGES)
        if found is None:
            message = "images lie in it, or in train/, val/ and test/ there, and it has other folders"
            raise DataError(
                message, where=str(root / IMAGES), hint="of folders that are classes, it is the path itself"
            )
        return [f"{IMAGES}/{file}" for file in found[0]], found[1]
    splits = {folder.name: folder / IMAGES for folder in sorted(root.iterdir()) if split_of(folder.name)}
    splits = {name: folder for name, folder in splits.items() if folder.is_dir()}
    if not splits:
        return flat_files(root)
    inside = {name: [f"{IMAGES}/{image}" for image in images_in(folder)] for name, folder in splits.items()}
    return of_splits(inside, str(root))


def read_labels(
    root: Path, folder: Path, files: Sequence[str], where: str, names: tuple[str, ...] | None, problem: Problem
) -> tuple[list[Objects], tuple[str, ...], tuple[str, ...]]:
    """What the label files in `folder` say of each of the images `files` in `root`; the names of the classes; notes.

    names: of the spec; default: those beside the files, else the numbers, or in XML all that occur, sorted. An image
    without a label file, or with an empty one, has no objects. What `problem` lets pass is left out. Raises DataError.
    """
    if not folder.is_dir():
        raise DataError(f"{folder.name} is a file, and a folder of label files is wanted", where=where)
    stems = _stems(files, same=folder.samefile(root))
    there = _label_files(folder, stems)
    wrong = _without_image(stems, there, files, where)
    labels = [there.get(stem) for stem in stems]
    if not any(labels):
        hint = f"that of {files[0]} would be {stems[0]}.txt"
        raise DataError(f"none of the {len(files):,} images has a label file", where=where, hint=hint)
    paths = [None if name is None else (folder / name, f"{where}/{name}") for name in labels]
    beside = [folder] if folder.samefile(root) else [folder, folder.parent, root]
    if split_of(folder.parent.name):  # train/images and train/labels, with the names above both
        beside.append(folder.parent.parent)
    if any(name is not None and name.endswith(".xml") for name in labels):
        said, names = _voc(files, paths, names, wrong)
    else:
        said, names = _yolo(files, paths, names or find_names(beside), wrong)
    tell(wrong, problem)
    return said, names, _notes(labels, said, where)


Paths = Sequence[tuple[Path, str] | None]


def _yolo(
    files: Sequence[str], paths: Paths, names: tuple[str, ...] | None, wrong: list[BadAnnotation]
) -> tuple[list[Objects], tuple[str, ...]]:
    said = []
    for file, path in zip(files, paths, strict=True):
        objects, errors = (NOTHING, []) if path is None else read_yolo(path[0], file, path[1])
        said.append(objects)
        wrong += errors
    return said, names or numbered(said)


def _voc(
    files: Sequence[str], paths: Paths, names: tuple[str, ...] | None, wrong: list[BadAnnotation]
) -> tuple[list[Objects], tuple[str, ...]]:
    found = []
    for file, path in zip(files, paths, strict=True):
        annotation, errors = (None, []) if path is None else read_voc(path[0], file, path[1])
        found.append(annotation)
        wrong += errors
    names = names or tuple(sorted({one["name"] for each in found if each for one in each.objects if one.get("name")}))
    said = []
    for file, path, annotation in zip(files, paths, found, strict=True):
        objects, errors = (NOTHING, [])
        if path is not None and annotation is not None:
            objects, errors = objects_of(annotation, names, file, path[1])
        said.append(objects)
        wrong += errors
    return said, names


def _stems(files: Sequence[str], *, same: bool) -> list[str]:
    """Where each image's label file lies in the folder of these, without its ending: as the image in its own, but for
    images/ in the way, which is labels/ where both lie in the same folder, and else is left out."""
    stems = []
    for file in files:
        *parents, name = file.split("/")
        if IMAGES in parents:
            last = len(parents) - 1 - parents[::-1].index(IMAGES)
            parents[last : last + 1] = [LABELS] if same else []
        stems.append("/".join([*parents, name.rpartition(".")[0]]))
    return stems


def _label_files(folder: Path, stems: Sequence[str]) -> dict[str, str]:
    """The label files, relative to `folder`, by their names without the ending, in every folder that has one's place
    or is a split beside such.

    Raises DataError where there are two of a name.
    """
    there: dict[str, str] = {}
    parents = {stem.rpartition("/")[0] for stem in stems}
    for split in list(parents):  # and the other splits', whose images may be missing
        above, _, name = split.rpartition("/")
        if split_of(name):
            others = [entry.name for entry in (folder / above).iterdir()] if (folder / above).is_dir() else []
            parents |= {f"{above}/{other}".removeprefix("/") for other in others if split_of(other)}
    for parent in sorted(parents):
        inside = folder / parent
        for name in sorted(entry.name for entry in inside.iterdir()) if inside.is_dir() else ():
            if name.endswith((".txt", ".xml")) and not name.lower().startswith(NO_LABELS):
                at = f"{parent}/{name}".removeprefix("/")
                key = at.rpartition(".")[0]
                if there.setdefault(key, at) != at:
                    message = f"{there[key]} and {at} are both label files of one image"
                    raise DataError(message, where=str(folder), hint="keep one of them")
    return there


def _without_image(
    stems: Sequence[str], there: Mapping[str, str], files: Sequence[str], where: str
) -> list[BadAnnotation]:
    """A label file of no image, of which another folder may have the image; one of two images."""
    wrong, first = [], {}
    for stem, file in zip(stems, files, strict=True):
        if first.setdefault(stem, file) != file and stem in there:
            message = f"it would be the label file of {first[stem]} and of {file}"
            hint = "rename one of the images"
            wrong.append(BadAnnotation("no_image", file, message, where=f"{where}/{there[stem]}", hint=hint))
    elsewhere = {stem.rpartition("/")[2]: file for stem, file in zip(stems, files, strict=True)}
    for stem, name in there.items():
        if stem not in first:
            other = elsewhere.get(stem.rpartition("/")[2])
            message, hint = "there is no image for this label file", "remove it, or add its image"
            if other:
                message, hint = f"{message}, and {other} has its name", "are folders mixed up?"
            wrong.append(BadAnnotation("no_image", "", message, where=f"{where}/{name}", hint=hint))
    return wrong


def _notes(labels: Sequence[str | None], said: Sequence[Objects], where: str) -> tuple[str, ...]:
    """How many images have no objects, where there are such."""
    lacking = sum(name is None for name in labels)
    empty = sum(name is not None and not objects.numbers for name, objects in zip(labels, said, strict=True))
    if not lacking + empty:
        return ()
    words = f"{lacking:,} of {len(said):,} images have no label file, and {empty:,} an empty one"
    return (f"{where}: {words}: there are no objects in them",)
