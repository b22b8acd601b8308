"""`source: npz`: arrays of one's own, `x` and `y`, optionally `x_test`, `y_test` and `classes`."""

import lzma
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from cnnlab.data.dataset import Dataset, find
from cnnlab.data.learnt import kind_of, learnt
from cnnlab.data.memory import check_fits
from cnnlab.errors import DataError, did_you_mean
from cnnlab.spec.data import ArraySource, Npz

KEYS = ("x", "y", "x_test", "y_test", "classes")
AXES_BY_RANK = {2: 0, 3: 2, 4: 2, 5: 3}  # vectors, images without and with channels, volumes
LARGEST_UNNAMED = 65_535  # label: a larger one is hardly an id, and each id gets a name
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, OSError, NotImplementedError)


def load(data: Npz, base: Path) -> Dataset:
    """The file's arrays. uint8 stays (0..255 means 0..1), every other number becomes float32 as it is.

    x: [example, *spatial] or [example, *spatial, channel]; y: [example], whole numbers from 0, or what else there
    is to learn (`kind_of`, or `data.target`).
    x_test, y_test: the source's own test split, after the rest in the dataset. Raises DataError.
    """
    return from_arrays(_read(find(data.path, base), data.path), data)


def from_arrays(arrays: Mapping[str, np.ndarray], data: ArraySource) -> Dataset:
    """The dataset that arrays under npz's names make; x stays where it lies if it is uint8 or float32."""
    where, spatial_axes = data.where, data.spatial_axes
    _check_keys(arrays, where)
    x, y = arrays["x"], arrays["y"]
    notes = [f"{where}: {_unused(key)}" for key in arrays if key not in KEYS]
    names = _class_names(arrays["classes"], where) if "classes" in arrays else None
    given = {}
    size = with_channels(np.broadcast_to(np.uint8(0), x.shape), spatial_axes, where).shape[1:-1]
    kind = data.target or kind_of(y, size)
    parts = ["", "_test"] if "x_test" in arrays else [""]
    for suffix in parts:
        _check_count(arrays, suffix, where)
        if kind == "class":
            _check_labels(arrays, suffix, names, where)
    if "x_test" in arrays:
        x_test = arrays["x_test"]
        _check_pair(x, x_test, where)
        given = {"train": np.arange(len(x)), "test": np.arange(len(x), len(x) + len(x_test))}
        x = np.concatenate([x, x_test])
    ys = [arrays[f"y{suffix}"] for suffix in parts]
    x = with_channels(x, spatial_axes, where)
    if x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[3] > 4 and x.shape[2] == x.shape[3]:
        shape = list(x.shape)
        notes.append(f"{where}: x {shape} looks like channels first; channels are the last axis: transpose(0, 2, 3, 1)")
    if kind != "class":
        targets = {kind: learnt(kind, ys, names, size, where)}
        y = np.zeros(len(x), np.int32)
        return Dataset(x, y, (), given=given, notes=tuple(notes), source=data.tags[0], targets=targets)
    y = np.concatenate([labels.astype(np.int32) for labels in ys])
    classes = names or tuple(map(str, range(int(y.max()) + 1)))
    return Dataset(x, y, classes, given=given, notes=tuple(notes), source=data.tags[0])


def read_array(path: Path) -> np.ndarray:
    """The array of an .npy file, or `x` of an .npz file: numbers, uint8 or float32. Raises DataError."""
    where = str(path)
    if path.suffix.lower() == ".npz":
        arrays = _read(path, where)
        if "x" not in arrays:
            raise DataError(f"no array 'x'; arrays there: {', '.join(arrays) or 'none'}", where=where)
        x = arrays["x"]
    else:
        try:
            x = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise DataError(f"cannot be read as an array: {error}", where=where, hint="numpy.save writes one") from None
    if x.dtype.kind not in "biuf":
        raise DataError(f"the array has the type {x.dtype}, and numbers are wanted", where=where)
    return x


def _read(path: Path, where: str) -> dict[str, np.ndarray]:
    hint = "numpy.savez('data.npz', x=x, y=y) writes one"
    if path.is_dir() or not zipfile.is_zipfile(path):
        kind = "a folder" if path.is_dir() else "not a zip file"
        raise DataError(f"{path} is {kind}, and an .npz file is one", where=where, hint=hint)
    arrays, part = {}, "the list of its arrays"
    try:
        with zipfile.ZipFile(path) as archive:
            members = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
            total = sum(entry.file_size for entry in members)
            check_fits(total, "its arrays", where=where, hint="use fewer or smaller examples")
            for entry in members:
                key = entry.filename.removesuffix(".npy")
                part = f"the array '{key}'"
                if entry.flag_bits & 1:
                    raise DataError(f"{part} is encrypted", where=where, hint=hint)
                arrays[key] = _read_array(archive, entry, key, where)
    except DAMAGED as error:
        message = f"{part} is damaged: {error}"
        raise DataError(message, where=where, hint="copy or write the file again") from error
    return arrays


def _read_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, key: str, where: str) -> np.ndarray:
    """The array, after its header has been held against the size of its entry: a header can ask for 373 GiB."""
    with archive.open(entry) as file:
        check_header(file, entry.file_size, key, where)
    with archive.open(entry) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def check_header(file: IO[bytes], size: int, key: str, where: str) -> None:
    """Holds the header of an .npy file, at whose start `file` is, against the file's size in bytes.

    DataError for a type that is not wanted, ValueError for a header that is damaged or does not fit the size.
    """
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"unknown format {version}")
    shape, _, dtype = readers[version](file)
    if dtype.hasobject or dtype.kind not in "biufUS":
        message = f"the array '{key}' has the type {dtype}, and numbers are wanted"
        if key == "classes":
            message = f"the array 'classes' has the type {dtype}, and text is wanted"
        hint = "convert it with astype" if key != "classes" else "numpy.array(list_of_names, dtype=str)"
        raise DataError(message, where=where, hint=hint)
    needed = int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize
    if min(shape, default=0) < 0 or needed != size - file.tell():
        raise ValueError(f"its header says {list(shape)} of {dtype}, {needed:,} bytes, and {size:,} are there")


def _check_keys(arrays: Mapping[str, np.ndarray], where: str) -> None:
    there = ", ".join(arrays) or "none"
    for key in ("x", "y"):
        if key not in arrays:
            hint = _near(key, arrays) or "numpy.savez('data.npz', x=x, y=y) names them"
            raise DataError(f"no array '{key}'; arrays there: {there}", where=where, hint=hint)
    if ("x_test" in arrays) != ("y_test" in arrays):
        has, lacks = ("x_test", "y_test") if "x_test" in arrays else ("y_test", "x_test")
        hint = _near(lacks, arrays) or "write both or neither"
        raise DataError(f"{has} is there without {lacks}", where=where, hint=hint)
    for key in ("x", "x_test"):
        if key in arrays and arrays[key].dtype.kind in "US":
            raise DataError(f"{key} has the type {arrays[key].dtype}, and numbers are wanted", where=where)
        if key in arrays and arrays[key].size == 0:
            shape = list(arrays[key].shape)
            raise DataError(f"{key} has the shape {shape}, which is empty", where=where, hint="leave nothing at 0")


def _near(key: str, arrays: Mapping[str, np.ndarray]) -> str:
    """A hint at the array that was probably meant: `X`, `x_train` or a slip of the pen."""
    strange = [name for name in arrays if name not in KEYS]
    alike = [name for name in strange if name.lower() == key or name.lower().startswith(f"{key}_")]
    return f"did you mean '{alike[0]}'?" if alike else did_you_mean(key, strange)


def _unused(key: str) -> str:
    near = did_you_mean(key, KEYS)
    return f"the array '{key}' is not used" + (f"; {near}" if near else "")


def _check_pair(x: np.ndarray, x_test: np.ndarray, where: str) -> None:
    if x.shape[1:] != x_test.shape[1:]:
        message = f"x has examples of shape {list(x.shape[1:])}, and x_test of {list(x_test.shape[1:])}"
        raise DataError(message, where=where, hint="bring both to one shape")
    if (x.dtype == np.uint8) != (x_test.dtype == np.uint8):
        message = f"x is {x.dtype} and x_test is {x_test.dtype}; uint8 is scaled to 0..1 and the other is not"
        raise DataError(message, where=where, hint="store both as one type")


def _check_count(arrays: Mapping[str, np.ndarray], suffix: str, where: str) -> None:
    x, y = arrays[f"x{suffix}"], arrays[f"y{suffix}"]
    if y.ndim == 0 or len(y) != len(x):
        count = f"{len(y):,} labels" if y.ndim else "is a single number"
        message = f"x{suffix} has {len(x):,} examples, and y{suffix} {count}"
        raise DataError(message, where=where, hint="one label for every example")


def _check_labels(arrays: Mapping[str, np.ndarray], suffix: str, names: tuple[str, ...] | None, where: str) -> None:
    y, name = arrays[f"y{suffix}"], f"y{suffix}"
    if y.ndim != 1:
        hint = f"{name}.argmax(1) makes ids of one-hot rows" if y.ndim == 2 and y.shape[1] > 1 else f"{name}.ravel()"
        raise DataError(f"{name} has the shape {list(y.shape)}, and one label each is wanted", where=where, hint=hint)
    if y.dtype.kind not in "iu":
        hint = f"{name}.astype(int)" if y.dtype.kind in "bf" else "numpy.unique(names, return_inverse=True) makes ids"
        raise DataError(f"{name} has the type {y.dtype}, and labels are whole numbers", where=where, hint=hint)
    classes = len(names) if names else LARGEST_UNNAMED + 1
    wrong = np.flatnonzero((y < 0) | (y >= classes))
    if len(wrong):
        message = f"{name}[{wrong[0]}] is {y[wrong[0]]}, and labels go from 0 to {classes - 1}"
        if names is None and y[wrong[0]] > 0:
            message += " where no array 'classes' names them"
        hint = "numpy.unique(y, return_inverse=True) makes ids from 0" if names is None else "add names to classes"
        raise DataError(message, where=where, hint=f"labels out of range: {len(wrong)}; {hint}")


def with_channels(x: np.ndarray, axes: int | None, where: str) -> np.ndarray:
    """x with a channel axis at the end, uint8 or float32."""
    rank, stated = x.ndim, axes is not None
    axes = AXES_BY_RANK.get(rank, -1) if axes is None else axes
    ranks = [2] if axes == 0 else [1 + axes, 2 + axes]
    if rank not in (ranks if stated else AXES_BY_RANK):
        allowed = " or ".join(map(str, ranks if stated else AXES_BY_RANK))
        rule = f"data.spatial_axes {axes} wants rank {allowed}" if stated else f"rank {allowed} is wanted"
        message = f"x has the shape {list(x.shape)}, rank {rank}, and {rule}"
        raise DataError(message, where=where, hint="[example, *spatial, channel], the channel may be missing")
    if rank == 1 + axes and axes > 0:
        x = x[..., None]
    with np.errstate(over="ignore"):  # a float64 above 3.4e38 becomes infinite, and the check for that names it
        return x if x.dtype == np.uint8 else x.astype(np.float32, copy=False)


def _class_names(names: np.ndarray, where: str) -> tuple[str, ...]:
    if names.ndim != 1 or names.dtype.kind not in "USiu" or not len(names):
        message = f"classes has the shape {list(names.shape)} and the type {names.dtype}"
        raise DataError(message, where=where, hint="a list of names is wanted, one for each class")
    texts = [name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names.tolist()]
    twice = sorted({name for name in texts if texts.count(name) > 1}) if len(set(texts)) < len(texts) else []
    if twice:
        raise DataError(f"classes names '{twice[0]}' more than once", where=where, hint="names tell classes apart")
    return tuple(texts)
