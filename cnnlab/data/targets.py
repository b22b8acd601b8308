"""What a dataset's targets have to pass, and how they follow when the examples are resized."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cnnlab.errors import DataError
from cnnlab.spec.data import UNKNOWN

if TYPE_CHECKING:
    from cnnlab.data.dataset import Dataset, Target
    from cnnlab.data.geometry import Placed


def check_targets(dataset: "Dataset", where: str) -> None:
    """Raises DataError for the first example whose target is not what `Target` says, and counts them all."""
    for kind, target in dataset.targets.items():
        check = {"labels": _labels, "values": _values, "mask": _mask, "boxes": _boxes}[kind]
        wrong, what, hint = check(target, dataset.x.shape[1:-1])
        first = np.flatnonzero(wrong)
        if len(first):
            more = f"; {len(first):,} examples have" if len(first) > 1 else ""
            raise DataError(f"{dataset.name(first[0])} {what(first[0])}", where=where, hint=hint + more)


def _labels(target: "Target", size: tuple[int, ...]):
    def what(i: int) -> str:
        k = np.flatnonzero(target.values[i] > 1)[0]
        return f"has {target.values[i, k]} for the label '{target.names[k]}'"

    return (target.values > 1).any(1), what, "1 where it holds, 0 where it does not"


def _values(target: "Target", size: tuple[int, ...]):
    def what(i: int) -> str:
        k = np.flatnonzero(~np.isfinite(target.values[i]))[0]
        return f"has {target.values[i, k]} for the value '{target.names[k]}'"

    return ~np.isfinite(target.values).all(1), what, "what is learnt must be finite"


def _mask(target: "Target", size: tuple[int, ...]):
    count, flat = len(target.names), target.values.reshape(len(target.values), -1)
    hint = f"ids go from 0 to {count - 1}, and 255 says nothing"
    if target.values.shape[1:] != size:
        words = " x ".join(map(str, target.values.shape[1:])), " x ".join(map(str, size))
        return np.ones(1), lambda i: f"is {words[1]}, and its mask {words[0]}", "a mask has an id for every position"
    known = np.zeros(256, bool)
    known[[*range(count), UNKNOWN]] = True

    def what(i: int) -> str:
        return f"has the id {flat[i][~known[flat[i]]][0]} in its mask, and there are {count} classes"

    return np.array([not known[one].all() for one in flat]), what, hint


def _boxes(target: "Target", size: tuple[int, ...]):
    axes, count = len(size), len(target.names)
    boxes = target.values
    low, high, label = boxes[..., :axes], boxes[..., axes : 2 * axes], boxes[..., -1]
    absent = (boxes == -1).all(-1)
    good = ((low >= 0) & (low < high) & (high <= size)).all(-1) & (label >= 0) & (label < count) & (label % 1 == 0)
    wrong = ~(good | absent)

    def what(i: int) -> str:
        box = boxes[i][np.flatnonzero(wrong[i])[0]]
        return f"has the box {[round(float(v), 3) for v in box]}, and is {' x '.join(map(str, size))}"

    return wrong.any(1), what, f"lows, highs inside of the example, a class from 0 to {count - 1}"


def resize_targets(targets: Mapping[str, "Target"], old: tuple[int, ...], placed: "Placed") -> dict[str, "Target"]:
    """The targets of examples of the size `old` that were resized: masks by the nearest position, boxes by the same
    factor; then both are cut, or moved, with 255 around masks."""
    return {kind: _resized(kind, target, old, placed) for kind, target in targets.items()}


def _resized(kind: str, target: "Target", old: tuple[int, ...], placed: "Placed") -> "Target":
    new = placed.scaled
    if kind == "mask":
        values = target.values
        for axis, (before, after) in enumerate(zip(old, new, strict=True), 1):
            nearest = (2 * np.arange(after) + 1) * before // (2 * after)
            values = values.take(nearest, axis)
        return replace(target, values=placed.window(values, UNKNOWN, lead=1))
    if kind == "boxes":
        factors = np.array([*np.divide(new, old), *np.divide(new, old), 1], np.float32)
        moves = np.array([*placed.start, *placed.start, 0], np.float32)
        absent = (target.values == -1).all(-1, keepdims=True)
        boxes = np.where(absent, np.float32(-1), target.values * factors - moves)
        return replace(target, values=clipped_to(boxes, placed.size) if placed.cuts else boxes)
    return target


def clipped_to(boxes: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """What of the boxes lies inside of `size`, as training clips them."""
    import jax.numpy as jnp

    from cnnlab.data.augment.boxes import clipped

    values = jnp.asarray(boxes)
    return np.asarray(clipped(values, size, values))
