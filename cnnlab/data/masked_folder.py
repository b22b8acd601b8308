"""Folders of images with a folder of masks: which mask is an image's, and images without class folders."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from cnnlab.data.images import is_image
from cnnlab.errors import DataError

SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}


def flat_files(root: Path) -> tuple[list[str], dict[str, np.ndarray]] | None:
    """Images that lie in `root` itself, or in train/, val/ and test/ (train2017/ ...) themselves, and these splits.

    None where class folders or others are below.
    """
    folders = [entry for entry in _visible(root) if entry.is_dir()]
    if not folders:
        return images_in(root), {}
    inside = [child for folder in folders for child in _visible(folder)]
    splits = {folder.name: split_of(folder.name) for folder in folders}
    if "train" not in splits.values() or None in splits.values() or any(child.is_dir() for child in inside):
        return None
    return of_splits({name: images_in(root / name) for name in splits}, str(root))


def of_splits(images: Mapping[str, Sequence[str]], where: str) -> tuple[list[str], dict[str, np.ndarray]]:
    """The images of folders that are splits, with their folders' names, training first; and the splits."""
    check_splits(images, where)
    folder = {SPLITS[_without_year(name)]: name for name in images}
    files: list[str] = []
    given: dict[str, np.ndarray] = {}
    for split in dict.fromkeys(SPLITS.values()):
        if split in folder:
            start, name = len(files), folder[split]
            files += [f"{name}/{image}" for image in images[name]]
            given[split] = np.arange(start, len(files))
    return files, given


def images_in(folder: Path) -> list[str]:
    """The names of the images in a folder itself, in order."""
    return [entry.name for entry in _visible(folder) if is_image(entry.name)]


def split_of(name: str) -> str | None:
    """The split that a folder's name stands for, also with a year behind it."""
    return SPLITS.get(_without_year(name))


def _without_year(name: str) -> str:
    return re.sub(r"\d{4}$", "", name)


def check_splits(names: Collection[str], where: str) -> None:
    """Raises DataError where two of the folders are one split."""
    for split in set(SPLITS.values()):
        own = [name for name in names if split_of(name) == split]
        if len(own) > 1:
            message = f"{' and '.join(f'{name}/' for name in own)} mean the same, and both are there"
            raise DataError(message, where=where, hint="keep one")


def mask_files(root: Path, images: Sequence[str], where: str) -> list[str]:
    """The mask of each image, relative to `root`: the image file in the same folder and with the same stem.

    Raises DataError for the first image that has none, or two.
    """
    if not root.is_dir():
        raise DataError(f"{root.name} is a file, and a folder of masks is wanted", where=where)
    by_folder = {parent: _by_stem(root / parent) for parent in {str(Path(name).parent) for name in images}}
    found = []
    for name in images:
        parent, stem = str(Path(name).parent), Path(name).stem
        masks = by_folder[parent].get(stem, [])
        if len(masks) != 1:
            message = f"{' and '.join(masks)} are both masks of {name}" if masks else f"no mask of {name}"
            hint = f"one is wanted, such as {(Path(parent) / stem).as_posix()}.png"
            raise DataError(message, where=where, hint=hint)
        found.append((Path(parent) / masks[0]).as_posix())
    return found


def _visible(folder: Path) -> list[Path]:
    return [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]


def _by_stem(folder: Path) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for entry in _visible(folder) if folder.is_dir() else []:
        if is_image(entry.name):
            found.setdefault(entry.stem, []).append(entry.name)
    return found
