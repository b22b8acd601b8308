"""`source: image_folder`: `class/name.jpg`, or `train/`, `val/`, `test/` above the classes."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from cnnlab.data.dataset import Dataset, Target, find
from cnnlab.data.images import is_image
from cnnlab.data.load_images import load_images
from cnnlab.data.masked_folder import SPLITS, flat_files, mask_files
from cnnlab.data.masks import read_masks
from cnnlab.errors import DataError, did_you_mean
from cnnlab.spec.schema import ImageFolder


def load(data: ImageFolder, base: Path) -> Dataset:
    """All images, uint8 [example, height, width, channels], ordered by split, class name and file name.

    Class ids are the places of the class folders' sorted names, one mapping for all splits. With `masks` there is a
    "mask" target, and the images may lie without class folders; then there are no classes. Hidden files are passed
    over, files that are no images are noted. Raises DataError.
    """
    root, where = find(data.path, base), data.path
    if not root.is_dir():
        raise DataError(f"{root} is a file, and a folder of class folders is wanted", where=where)
    if data.masks is not None and (flat := flat_files(root)) is not None:
        files, given = flat
        if not files:
            raise DataError(f"no images in {root}", where=where, hint="images go to <name>.jpg, or <class>/<name>.jpg")
        x = load_images(root, files, data, data.resize, where, base)
        y, targets = np.zeros(len(files), np.int32), _masks(data, base, root, files, x.shape[1:3])
        return Dataset(x, y, (), tuple(files), given, source=data.source, targets=targets)
    others: list[str] = []
    trees = {split: _classes(folder, root, where, others) for split, folder in _splits(root, where).items()}
    first = next(iter(trees.values()))
    for split, tree in trees.items():
        strange = sorted(set(tree) - set(first))
        if strange:
            message = f"the class '{strange[0]}' is in {split}, and has no folder in train ({', '.join(sorted(first))})"
            hint = did_you_mean(strange[0], sorted(first)) or "what was never trained cannot be recognised"
            raise DataError(message, where=where, hint=hint)
    classes = tuple(sorted(first))
    files, labels, given = [], [], {}
    for split, tree in trees.items():
        start = len(files)
        for label, name in enumerate(classes):
            files += tree.get(name, [])
            labels += [label] * len(tree.get(name, []))
        given[split] = np.arange(start, len(files))
    x = load_images(root, files, data, data.resize, where, base)
    notes = ()
    if others:
        notes = (f"{where}: {len(others)} files are no images and are not used, for example {others[0]}",)
    given = {} if set(given) == {""} else given
    targets = {} if data.masks is None else _masks(data, base, root, files, x.shape[1:3])
    y = np.array(labels, np.int32)
    return Dataset(x, y, classes, tuple(files), given, notes, data.source, targets=targets)


def _masks(data: ImageFolder, base: Path, root: Path, files: list[str], size: tuple[int, ...]) -> dict[str, Target]:
    folder = find(data.masks or "", base)
    names = mask_files(folder, files, data.masks or "")
    masks, images = [folder / name for name in names], [root / name for name in files]
    names = [f"{data.masks}/{name}" for name in names]
    return {"mask": read_masks(masks, images, names, size, data, data.masks or "")}


def _visible(folder: Path) -> Iterator[Path]:
    return (entry for entry in sorted(folder.iterdir()) if not entry.name.startswith("."))


def _splits(root: Path, where: str) -> Mapping[str, Path]:
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
        raise DataError(message, where=where, hint=hint)
    if "val" in folders and "validation" in folders:
        raise DataError("val/ and validation/ mean the same, and both are there", where=where, hint="keep one")
    _refuse_loose(root, root, where)
    return {split: folders[name] for name, split in SPLITS.items() if name in folders}


def _classes(folder: Path, root: Path, where: str, others: list[str]) -> dict[str, list[str]]:
    """Class name -> its image files, relative to `root`. Files that are no images are added to `others`."""
    _refuse_loose(folder, root, where)
    entries = list(_visible(folder))
    classes: dict[str, list[str]] = {}
    others += [entry.relative_to(root).as_posix() for entry in entries if not entry.is_dir()]
    for entry in (entry for entry in entries if entry.is_dir()):
        inside = list(_visible(entry))
        nested = [child for child in inside if child.is_dir()]
        if nested:
            message = f"{nested[0].relative_to(root).as_posix()}/ is a folder inside the class '{entry.name}'"
            raise DataError(message, where=where, hint="images lie in the class folder itself")
        names = [child.relative_to(root).as_posix() for child in inside]
        classes[entry.name] = [name for name in names if is_image(name)]
        others += [name for name in names if not is_image(name)]
        if not classes[entry.name]:
            message = f"the class folder {entry.relative_to(root).as_posix()}/ has no image in it"
            raise DataError(message, where=where, hint="add images, or remove the folder")
    if not classes:
        raise DataError(f"no class folders in {folder}", where=where, hint="images go to <class>/<name>.jpg")
    return classes


def _refuse_loose(folder: Path, root: Path, where: str) -> None:
    loose = [entry.relative_to(root).as_posix() for entry in _visible(folder) if is_image(entry.name)]
    if loose:
        message = f"images in no class folder: {len(loose)}, for example {loose[0]}"
        raise DataError(message, where=where, hint="images go to <class>/<name>.jpg")
