"""`source: image_folder`: `class/name.jpg`, or `train/`, `val/`, `test/` above the classes."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from cnnlab.data.bad_files import with_pixels, without_bad_annotations
from cnnlab.data.boxed_folder import boxed_files, read_labels
from cnnlab.data.boxes import with_boxes
from cnnlab.data.dataset import Dataset, Target, find
from cnnlab.data.geometry import Frame, frame_of
from cnnlab.data.images import is_image
from cnnlab.data.masked_folder import SPLITS, check_splits, flat_files, mask_files
from cnnlab.data.masks import read_masks
from cnnlab.data.problems import Problem, stop
from cnnlab.errors import DataError, did_you_mean
from cnnlab.spec.schema import ImageFolder


def load(data: ImageFolder, base: Path) -> Dataset:
    """All images, uint8 [example, height, width, channels], ordered by split, class name and file name.

    Class ids are the places of the class folders' sorted names, one mapping for all splits. With `masks` there is a
    "mask" target, with `boxes` the targets "boxes" and "labels" (which classes have a box), and the images may lie
    without class folders; then there are no classes. Hidden files are passed over, files that are no images are noted.
    Raises DataError.
    """
    dataset = with_pixels(without_bad_annotations(listed, data, base), find(data.path, base), data, data.path, base)
    if data.masks is None:
        return dataset
    return replace(dataset, targets={**dataset.targets, **_masks(data, base, dataset)})


def listed(data: ImageFolder, base: Path, problem: Problem = stop) -> Dataset:
    """`load`'s dataset before any image is decoded: x is [example, 0], without masks. What `problem` lets pass is left
    out."""
    root = find(data.path, base)
    if not root.is_dir():
        raise DataError(f"{root} is a file, and a folder of class folders is wanted", where=data.path)
    dataset = _files(data, root, problem)
    if data.boxes is None:
        return dataset
    files, folder = dataset.files or (), find(data.boxes, base)
    said, names, notes = read_labels(root, folder, files, data.boxes, data.box_classes, problem)
    dataset = replace(dataset, notes=(*dataset.notes, *notes))
    return with_boxes(dataset, said, names, root, data, problem)


def _files(data: ImageFolder, root: Path, problem: Problem) -> Dataset:
    where = data.path
    flat = None
    if data.boxes is not None:
        flat = boxed_files(root)
    elif data.masks is not None:
        flat = flat_files(root)
    if flat is not None:
        files, given = flat
        if not files:
            raise DataError(f"no images in {root}", where=where, hint="images go to <name>.jpg, or <class>/<name>.jpg")
        x, y = np.empty((len(files), 0), np.uint8), np.zeros(len(files), np.int32)
        return Dataset(x, y, (), tuple(files), given, source=data.source)
    others: list[str] = []
    splits = _splits(root, where, problem)
    trees = {split: _classes(folder, root, where, others, problem) for split, folder in splits.items()}
    first = next(iter(trees.values()))
    for split, tree in trees.items():
        for name in sorted(set(tree) - set(first)):
            message = f"the class '{name}' is in {split}, and has no folder in train ({', '.join(sorted(first))})"
            hint = did_you_mean(name, sorted(first)) or "what was never trained cannot be recognised"
            problem(DataError(message, where=where, hint=hint))
    classes = tuple(sorted(first))
    files, labels, given = [], [], {}
    for split, tree in trees.items():
        start = len(files)
        for label, name in enumerate(classes):
            files += tree.get(name, [])
            labels += [label] * len(tree.get(name, []))
        given[split] = np.arange(start, len(files))
    notes = ()
    if others:
        notes = (f"{where}: {len(others)} files are no images and are not used, for example {others[0]}",)
    given = {} if set(given) == {""} else given
    x = np.empty((len(files), 0), np.uint8)
    return Dataset(x, np.array(labels, np.int32), classes, tuple(files), given, notes, data.source)


def _masks(data: ImageFolder, base: Path, dataset: Dataset) -> dict[str, Target]:
    root, folder, files = find(data.path, base), find(data.masks or "", base), list(dataset.files or ())
    names = mask_files(folder, files, data.masks or "")
    masks, images = [folder / name for name in names], [root / name for name in files]
    names = [f"{data.masks}/{name}" for name in names]
    frame = frame_of(data, 2) or Frame(dataset.x.shape[1:3])
    return {"mask": read_masks(masks, images, names, frame, data, data.masks or "")}


def _visible(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(folder), hint="see its permissions") from error
    for entry in entries:
        if any("\udc80" <= c <= "\udcff" for c in entry.name):  # bytes that are no UTF-8, as Python keeps them
            hint = "rename it: a run writes down the names of its files"
            raise DataError("the name is not UTF-8", where=str(entry), hint=hint)
        if not entry.name.startswith("."):
            yield entry


def _splits(root: Path, where: str, problem: Problem) -> Mapping[str, Path]:
    """The folder of each split, train first; `{"": root}` where the class folders lie in `root` itself."""
    folders = {entry.name: entry for entry in _visible(root) if entry.is_dir()}
    # A class may be called `train` too: a split has folders in it, a class has images.
    if not any(child.is_dir() for name in SPLITS if name in folders for child in _visible(folders[name])):
        return {"": root}
    if "train" not in folders:
        has = ", ".join(f"{name}/" for name in folders if name in SPLITS)
        raise DataError(f"{has} without train/", where=where, hint="add train/ with a folder for each class")
    strange = [name for name in folders if name not in SPLITS]
    if strange:
        message = f"the folder {strange[0]}/ lies beside train/, and is neither val/ nor test/"
        hint = did_you_mean(strange[0], list(SPLITS)) or "class folders go into train/"
        problem(DataError(message, where=where, hint=hint))
    check_splits([name for name in folders if name in SPLITS], where)
    _refuse_loose(root, root, where, problem)
    return {split: folders[name] for name, split in SPLITS.items() if name in folders}


def _classes(folder: Path, root: Path, where: str, others: list[str], problem: Problem) -> dict[str, list[str]]:
    """Class name -> its image files, relative to `root`. Files that are no images are added to `others`."""
    _refuse_loose(folder, root, where, problem)
    entries = list(_visible(folder))
    classes: dict[str, list[str]] = {}
    others += [entry.relative_to(root).as_posix() for entry in entries if not entry.is_dir()]
    for entry in (entry for entry in entries if entry.is_dir()):
        inside = list(_visible(entry))
        nested = [child for child in inside if child.is_dir()]
        if nested:
            message = f"{nested[0].relative_to(root).as_posix()}/ is a folder inside the class '{entry.name}'"
            problem(DataError(message, where=where, hint="images lie in the class folder itself"))
        names = [child.relative_to(root).as_posix() for child in inside if child not in nested]
        classes[entry.name] = [name for name in names if is_image(name)]
        others += [name for name in names if not is_image(name)]
        if not classes[entry.name]:
            message = f"the class folder {entry.relative_to(root).as_posix()}/ has no image in it"
            problem(DataError(message, where=where, hint="add images, or remove the folder"))
    if not classes:
        raise DataError(f"no class folders in {folder}", where=where, hint="images go to <class>/<name>.jpg")
    return classes


def _refuse_loose(folder: Path, root: Path, where: str, problem: Problem) -> None:
    loose = [entry.relative_to(root).as_posix() for entry in _visible(folder) if is_image(entry.name)]
    if loose:
        message = f"images in no class folder: {len(loose)}, for example {loose[0]}"
        problem(DataError(message, where=where, hint="images go to <class>/<name>.jpg"))
