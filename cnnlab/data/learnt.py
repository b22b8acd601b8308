"""What an array `y` holds for each example: a class, several labels, values, or a mask."""

from collections.abc import Sequence

import numpy as np

from cnnlab.data.dataset import Target
from cnnlab.errors import DataError
from cnnlab.spec.data import UNKNOWN


def kind_of(y: np.ndarray, size: tuple[int, ...]) -> str:
    """ "class", "labels", "values" or "mask", where y leaves no doubt, else "class", whose checks say what is amiss.

    y: [example, ...]; size: the spatial shape of the examples. Numbers that are not whole are values, ids of the
    examples' own shape a mask, and true and false, other than one true a row, labels.
    """
    if size and _mask_shape(y) == size and y.dtype.kind in "biu":
        return "mask"
    if y.dtype.kind == "f" and y.ndim in (1, 2):
        with np.errstate(invalid="ignore"):  # of what is not finite
            return "values" if (y % 1 != 0).any() else "class"
    several = y.dtype.kind == "b" and y.ndim == 2 and (y.sum(1) != 1).any()
    return "labels" if several else "class"


def learnt(
    kind: str, ys: Sequence[np.ndarray], names: tuple[str, ...] | None, size: tuple[int, ...], where: str
) -> Target:
    """The target of a kind that is no class; `ys`: y, and y_test behind it. Raises DataError where they are not it.

    names: of labels, values or ids; default: "0", "1", ..., and "y" for a single value.
    """
    for y, name in zip(ys, ("y", "y_test"), strict=False):
        _check(kind, y, name, size, where)
    if kind == "mask":
        values = np.concatenate([y.reshape(len(y), *size).astype(np.uint8) for y in ys])
        return Target(values, names or _numbered(int(values.max(where=values != UNKNOWN, initial=0)) + 1))
    if len({y.shape[1:] for y in ys}) > 1:
        message = f"y has the shape {list(ys[0].shape)}, and y_test {list(ys[1].shape)}"
        raise DataError(message, where=where, hint="bring both to one shape")
    with np.errstate(over="ignore"):  # what becomes infinite is named by the check for that
        values = np.concatenate(
            [y.reshape(len(y), -1).astype(np.uint8 if kind == "labels" else np.float32) for y in ys]
        )
    count = values.shape[1]
    names = names or (("y",) if count == 1 and kind == "values" else _numbered(count))
    if len(names) != count:
        message = f"classes names {len(names)} {kind}, and y has {count}"
        raise DataError(message, where=where, hint="one name for each column of y")
    return Target(values, names)


def _mask_shape(y: np.ndarray) -> tuple[int, ...]:
    """That of one mask, without a channel axis of 1."""
    return y.shape[1:-1] if y.ndim > 2 and y.shape[-1] == 1 else y.shape[1:]


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


def _check(kind: str, y: np.ndarray, name: str, size: tuple[int, ...], where: str) -> None:
    if y.dtype.kind not in "biuf":
        raise DataError(f"{name} has the type {y.dtype}, and {kind} are numbers", where=where)
    if kind == "mask":
        if not size or size not in (y.shape[1:], _mask_shape(y)):
            message = f"{name} has the shape {list(y.shape)}, and a mask the examples' own, {list(size)}"
            raise DataError(message, where=where, hint="a mask has an id for every position")
        if y.dtype.kind == "f":
            raise DataError(f"{name} has the type {y.dtype}, and ids are whole numbers", where=where)
        wrong = y[(y < 0) | (y > UNKNOWN)] if y.dtype.kind != "b" else y[:0].ravel()
        if len(wrong):
            message = f"{name} has the id {wrong[0]}, and ids go from 0 to 254, 255 where nothing is said"
            raise DataError(message, where=where)
    elif y.ndim not in (1, 2) or y.size == 0:
        message = f"{name} has the shape {list(y.shape)}, and {kind} are [example, name]"
        raise DataError(message, where=where, hint="name.reshape(len(name), -1) makes rows".replace("name", name))
    elif kind == "labels" and not np.isin(y, (0, 1)).all():
        message = f"{name} has the value {y[~np.isin(y, (0, 1))][0]}, and labels are 0 or 1"
        raise DataError(message, where=where, hint="1 where a label holds, 0 where it does not")
