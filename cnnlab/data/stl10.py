"""`source: stl10` (Coates, Ng and Lee 2011): the folder of the binary version, its labelled images."""

from pathlib import Path

import numpy as np

from cnnlab.data.dataset import Dataset, find
from cnnlab.data.memory import check_fits
from cnnlab.errors import DataError
from cnnlab.spec.data import Stl10

INNER = "stl10_binary"  # the folder that the archive unpacks to
SIZE = 96
PIXELS = 3 * SIZE * SIZE
AGAIN = "copy or download it again: cnnlab data fetch stl10"


def load(data: Stl10, base: Path) -> Dataset:
    """uint8 [13000, 96, 96, 3], training before test, classes as in class_names.txt. Raises DataError.

    The 100,000 images without labels, and the ten folds of the training images, are not used.
    """
    path, where = find(data.path, base), data.path
    if not path.is_dir():
        raise DataError(f"{path.name} is a file, and the folder of STL-10's files is wanted", where=where, hint=AGAIN)
    folder = path / INNER if (path / INNER).is_dir() else path
    files = {name: folder / name for name in ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin")}
    names = folder / "class_names.txt"
    missing = [file.name for file in (*files.values(), names) if not file.is_file()]
    if missing:
        words = f"{missing[0]} is missing" + (f", and {len(missing) - 1} more files" if len(missing) > 1 else "")
        raise DataError(words, where=where, hint=AGAIN)
    try:
        total = sum(file.stat().st_size for file in files.values())
        check_fits(2 * total, "its images", where=where, hint="use a machine with more memory")
        classes = tuple(name.strip() for name in names.read_text(errors="replace").splitlines() if name.strip())
        parts = [_split(files[f"{part}_X.bin"], files[f"{part}_y.bin"], len(classes)) for part in ("train", "test")]
    except OSError as error:
        raise DataError(f"cannot be read: {error}", where=where, hint=AGAIN) from error
    x, y = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    trained = len(parts[0][0])
    given = {"train": np.arange(trained), "test": np.arange(trained, len(x))}
    return Dataset(x, y, classes, given=given, source=data.source)


def _split(images: Path, labels: Path, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """x uint8 [example, 96, 96, 3] and y int32 [example] of two files, whose labels count from 1.

    An image is its red, green and blue plane, each column by column.
    """
    pixels, y = np.fromfile(images, np.uint8), np.fromfile(labels, np.uint8)
    if not len(pixels) or len(pixels) % PIXELS:
        message = f"{len(pixels):,} bytes, and every image takes {PIXELS:,}"
        raise DataError(message, where=str(images), hint=AGAIN)
    if len(pixels) != PIXELS * len(y):
        message = f"{len(pixels) // PIXELS:,} images, and {len(y):,} labels in {labels.name}"
        raise DataError(message, where=str(images), hint=AGAIN)
    wrong = np.flatnonzero((y < 1) | (y > classes))
    if len(wrong):
        message = f"image {wrong[0]} has the label {y[wrong[0]]}, and class_names.txt names {classes} classes"
        raise DataError(message, where=str(labels), hint=AGAIN)
    x = pixels.reshape(-1, 3, SIZE, SIZE).transpose(0, 3, 2, 1)
    return np.ascontiguousarray(x), y.astype(np.int32) - 1
