"""`source: idx`: the files of MNIST (LeCun, Cortes and Burges), Fashion-MNIST and KMNIST, gzip or not."""

import gzip
import re
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cnnlab.data.dataset import Dataset, find
from cnnlab.data.memory import check_fits
from cnnlab.errors import DataError
from cnnlab.spec.data import Idx

FILE = re.compile(r"(train|t10k|test)-(images[-.]idx3|labels[-.]idx1)-ubyte(\.gz)?")
TYPES = {8: "uint8", 9: "int8", 11: "int16", 12: "int32", 13: "float32", 14: "float64"}
MOST_DEFLATED = 1032  # bytes that one byte of gzip can become, by the format
AGAIN = "copy or download the file again"


def load(data: Idx, base: Path) -> Dataset:
    """uint8 [example, height, width, 1], training before test examples, classes named by their numbers.

    Without test files all is one pool. Raises DataError for a file that is missing, damaged or no idx file.
    """
    folder, where = find(data.path, base), data.path
    if not folder.is_dir():
        message = f"{folder.name} is a file, and the folder of the idx files is wanted"
        raise DataError(message, where=where, hint=f"path: {folder.parent}")
    files = _files(folder)
    if "train" not in files:
        message = "no train-images-idx3-ubyte[.gz] and train-labels-idx1-ubyte[.gz]"
        raise DataError(message, where=where, hint="name the folder that they lie in")
    x, y = _pair(files["train"], folder)
    given = {}
    if "test" in files:
        x_test, y_test = _pair(files["test"], folder)
        if x_test.shape[1:] != x.shape[1:]:
            sizes = [f"{height} x {width}" for _, height, width, _ in (x.shape, x_test.shape)]
            message = f"the training images are {sizes[0]}, and the test images {sizes[1]}"
            raise DataError(message, where=where, hint="put files of one data set into the folder")
        given = {"train": np.arange(len(x)), "test": np.arange(len(x), len(x) + len(x_test))}
        x, y = np.concatenate([x, x_test]), np.concatenate([y, y_test])
    classes = tuple(map(str, range(int(y.max()) + 1)))
    return Dataset(x, y.astype(np.int32), classes, given=given, source=data.source)


def _files(folder: Path) -> dict[str, dict[str, Path]]:
    """Split -> `images`, `labels` -> the file; one that is there twice is taken unpacked."""
    files: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir(), reverse=True):  # name.gz before name
        if match := FILE.fullmatch(path.name):
            split = "train" if match[1] == "train" else "test"
            files.setdefault(split, {})[match[2][:6]] = path
    return files


def _pair(files: dict[str, Path], folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """x [example, height, width, 1] and y [example], uint8, of one split."""
    for kind, other in (("images", "labels"), ("labels", "images")):
        if kind not in files:
            message = f"no {kind} to {files[other].name}"
            raise DataError(message, where=str(folder), hint="put both files into the folder")
    x, y = read(files["images"], 3)[..., None], read(files["labels"], 1)
    if len(x) != len(y):
        message = f"{len(x):,} images, and {len(y):,} labels in {files['labels'].name}"
        raise DataError(message, where=str(files["images"]), hint="one label for every image")
    return x, y


def read(path: Path, axes: int) -> np.ndarray:
    """The uint8 array of `axes` axes in an idx file. Raises DataError.

    The format: two zero bytes, the type of the values, the number of axes, the size of each axis as a big-endian
    32-bit number, the values.
    """
    try:
        with path.open("rb") as raw:
            if path.suffix != ".gz":
                return _read(raw, path.stat().st_size, path, axes)
            with gzip.open(raw) as file:
                return _read(file, None, path, axes)  # type: ignore[arg-type]
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot be read: {error}", where=str(path), hint=AGAIN) from error


def _read(file: BinaryIO, size: int | None, path: Path, axes: int) -> np.ndarray:
    """`size` is that of the file, None where only reading it tells."""
    where, header = str(path), file.read(4 + 4 * axes)
    if len(header) < 4 + 4 * axes:
        raise DataError(f"ends after {len(header)} bytes, in its header", where=where, hint=AGAIN)
    if header[:2] != b"\0\0" or header[2] not in TYPES:
        message = f"begins with the bytes {header[:4].hex(' ')}, and an idx file with 00 00 08 {axes:02x}"
        raise DataError(message, where=where, hint="it is another format, or damaged")
    if header[2] != 8 or header[3] != axes:
        message = f"holds {TYPES[header[2]]} of {header[3]} axes, and uint8 of {axes} is wanted"
        raise DataError(message, where=where, hint="images have 3 axes and labels 1")
    shape = [int(n) for n in np.frombuffer(header, ">u4", axes, 4)]
    needed = int(np.prod(shape, dtype=object))
    words = f"its header says {' x '.join(f'{n:,}' for n in shape)}"
    if needed == 0:
        raise DataError(f"{words}, which is empty", where=where, hint="there must be an example")
    if size is not None and size != len(header) + needed:
        message = f"{words}, {len(header) + needed:,} bytes with the header, and the file has {size:,}"
        raise DataError(message, where=where, hint=AGAIN)
    if size is None and needed > MOST_DEFLATED * path.stat().st_size:
        message = f"{words}, {needed:,} bytes, which {path.stat().st_size:,} bytes of gzip cannot hold"
        raise DataError(message, where=where, hint=AGAIN)
    check_fits(needed, "its array", where=where, hint="use fewer examples")
    values = np.empty(needed, np.uint8)
    filled = 0
    while count := file.readinto(values[filled:].data):  # type: ignore[attr-defined]
        filled += count
    if filled < needed or file.read(1):  # the end of a gzip file is where its checksum is held against the content
        hint = f"{AGAIN}, or shorten it"
        raise DataError(
            f"{words}, and {'more' if filled == needed else f'{filled:,}'} values follow", where=where, hint=hint
        )
    return values.reshape(shape)
