"""`source: hdf5`: arrays of one's own in one HDF5 file, under the names that the spec gives."""

from pathlib import Path
from typing import Any

import numpy as np

from cnnlab.data.dataset import Dataset, find
from cnnlab.data.memory import check_fits
from cnnlab.data.npz import from_arrays
from cnnlab.errors import DataError, did_you_mean
from cnnlab.spec.data import Hdf5

DAMAGED = (OSError, RuntimeError, KeyError, ValueError, TypeError)


def load(data: Hdf5, base: Path) -> Dataset:
    """What npz has, from arrays of an HDF5 file. Raises DataError."""
    try:
        import h5py  # type: ignore[import-not-found]
    except ImportError:
        message = "h5py reads HDF5, and it is not installed"
        raise DataError(message, where=data.where, hint="pip install 'cnnlab[hdf5]'") from None
    path, where = find(data.path, base), data.path
    names = {"x": data.x, "y": data.y, "x_test": data.x_test, "y_test": data.y_test, "classes": "classes"}
    try:
        with h5py.File(path, "r") as file:
            there = _arrays(file, h5py)
            wanted = {key: name for key, name in names.items() if name in there or _asked(data, key)}
            found = {key: _checked(there, name, key, where) for key, name in wanted.items()}
            needed = sum(array.size * max(array.dtype.itemsize, 4) for array in found.values())
            check_fits(needed, "its arrays", where=where, hint="use fewer or smaller examples")
            arrays = {key: _read(array, key, where) for key, array in found.items()}
    except DAMAGED as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"cannot be read as HDF5: {reason}", where=where, hint="copy or write it again") from error
    return from_arrays(arrays, data)


def _asked(data: Hdf5, key: str) -> bool:
    return key in ("x", "y") or key in data.model_fields_set


def _arrays(file: Any, h5py: Any) -> dict[str, Any]:
    """The arrays of the file itself, by path, in its groups too; links into other files are passed over."""
    found: dict[str, Any] = {}
    file.visititems(lambda name, item: found.__setitem__(name, item) if isinstance(item, h5py.Dataset) else None)
    return found


def _checked(there: dict[str, Any], name: str, key: str, where: str) -> Any:
    name = name.strip("/")
    if name not in there:
        hint = did_you_mean(name, list(there)) or f"data.{key} names another"
        message = f"no array '{name}'; arrays there: {', '.join(sorted(there)) or 'none'}"
        raise DataError(message, where=where, hint=hint)
    array = there[name]
    if array.is_virtual or array.external:
        raise DataError(f"the array '{name}' lies in other files", where=where, hint="store it in the file itself")
    text = key == "classes" and array.dtype.kind in "OSU"
    if not text and array.dtype.kind not in "biuf":
        message = f"the array '{name}' has the type {array.dtype}, and numbers are wanted"
        raise DataError(message, where=where, hint="convert it with astype")
    return array


def _read(array: Any, key: str, where: str) -> np.ndarray:
    if array.shape is None:
        raise DataError(f"the array for {key} is empty", where=where, hint="there must be an example")
    if key == "classes" and array.dtype.kind == "O":
        return np.array(array.asstr()[()].tolist(), str)
    return np.asarray(array[()])
