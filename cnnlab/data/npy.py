"""`source: npy`: arrays of one's own in .npy files, mapped into memory: what is not used is never read."""

from pathlib import Path

import numpy as np

from cnnlab.data.dataset import Dataset, find
from cnnlab.data.memory import check_fits
from cnnlab.data.npz import KEYS, check_header, from_arrays
from cnnlab.errors import DataError, did_you_mean
from cnnlab.spec.data import Npy


def load(data: Npy, base: Path) -> Dataset:
    """What npz has, from x.npy, y.npy, ... of a folder, or from two files.

    uint8 and float32 stay on disk, and in the system's cache, until they are asked for; other numbers become
    float32 in memory. Raises DataError.
    """
    if data.path is None:
        files = {key: find(path, base) for key, path in (("x", data.x), ("y", data.y)) if path}
    else:
        files = _in_folder(find(data.path, base), data.path)
    arrays = {key: _mapped(path, key) for key, path in files.items()}
    copied = [x for key, x in arrays.items() if key in ("x", "x_test") and ("x_test" in arrays or _changes(x))]
    needed = sum(x.size * (1 if x.dtype == np.uint8 else 4) for x in copied)
    check_fits(needed, "its arrays", where=data.where, hint="store x as uint8 or float32, in one file")
    return from_arrays(arrays, data)


def _changes(x: np.ndarray) -> bool:
    return x.dtype not in (np.uint8, np.float32)


def _in_folder(folder: Path, where: str) -> dict[str, Path]:
    """Array -> its file."""
    if not folder.is_dir():
        message = f"{folder.name} is a file, and a folder with x.npy and y.npy is wanted"
        raise DataError(message, where=where, hint="give x: and y: for two files")
    names = sorted(path.name for path in folder.glob("*.npy"))
    files = {key: folder / f"{key}.npy" for key in KEYS if f"{key}.npy" in names}
    for key in ("x", "y"):
        if key not in files:
            hint = did_you_mean(f"{key}.npy", names) or "numpy.save writes one"
            message = f"no {key}.npy; files there: {', '.join(names) or 'none'}"
            raise DataError(message, where=where, hint=hint)
    return files


def _mapped(path: Path, key: str) -> np.ndarray:
    """The array, after its header has been held against the file's size."""
    where = str(path)
    try:
        with path.open("rb") as file:
            check_header(file, path.stat().st_size, key, where)
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, OSError, EOFError) as error:
        hint = "copy or write the file again"
        raise DataError(f"cannot be read as an array: {error}", where=where, hint=hint) from error
