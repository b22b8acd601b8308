"""All examples of one source in memory, and the checks that every source has to pass."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path

import numpy as np

from cnnlab.data.fingerprint import content_digests
from cnnlab.data.geometry import frame_of, framed
from cnnlab.data.memory import check_fits
from cnnlab.data.stored import StoredImages
from cnnlab.data.targets import check_targets, resize_targets
from cnnlab.errors import DataError, did_you_mean
from cnnlab.spec.schema import Data, NoData


@dataclass(frozen=True, eq=False)
class Target:
    """Something to learn beside one class an example, and what its numbers mean.

    By its name in `Dataset.targets`:
    "labels": uint8 [example, name], 1 where the label holds, any number of them at once;
    "values": float32 [example, name], what regression predicts;
    "mask": uint8 [example, *spatial], the class of each position in `names`, 255 where nothing is said;
    "boxes": float32 [example, object, 2 * axes + 1], lows and highs per axis in pixels ([y0, x0, y1, x1] of an image,
        the high edge not inside) and the class in `names`; rows of -1 fill up.
    """

    values: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples as the source has them, before any split.

    x: [example, *spatial, channel], uint8 (0..255 means 0..1) or float32; an array, or images that stay in files.
    y: [example], int32, the position of each example's class in `classes`; all 0 where the source knows no such
        class, then `classes` is empty.
    targets: what else there is to learn, by "labels", "values", "mask", "boxes".
    files: a path per example, relative to the data folder; None where examples are not files.
    given: sorted indices of the splits that the source itself has, by "train", "validation", "test";
        empty where it is one pool.
    groups: a name per example; those of one group stay in one split. None where there are no groups.
    notes: sentences for the user that are no errors.
    skipped: the files that `on_bad_file: skip` left out, and what is wrong with each.
    digests: SHA-256 of each example as the source gave it. Taken before any resizing, whose last digit
        depends on the processor: data prepared on a GPU is recognised on a laptop.
    """

    x: np.ndarray | StoredImages
    y: np.ndarray
    classes: tuple[str, ...]
    files: tuple[str, ...] | None = None
    given: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    source: str = ""
    digests: tuple[bytes, ...] = ()
    groups: tuple[str, ...] | None = None
    targets: Mapping[str, Target] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self):
        if not self.digests:
            digests = self.x.survey.digests if isinstance(self.x, StoredImages) else content_digests(self.x)
            object.__setattr__(self, "digests", digests)

    def name(self, index: int) -> str:
        """How a message calls an example: its file, or its number within the source's own split."""
        if self.files:
            return self.files[index]
        for split, indices in self.given.items():
            position = int(np.searchsorted(indices, index))
            if position < len(indices) and indices[position] == index:
                return f"{split} example {position}"
        return f"example {index}"


def load(data: Data, base: Path) -> Dataset:
    """The examples that a spec's `data` asks for, checked and resized, read-only.

    A relative `path` starts at `base`, the spec file's folder. Raises DataError, or SpecError where
    `resize` does not fit the data.
    """
    from cnnlab.data import SOURCES  # the table imports the sources, and they import this module
    from cnnlab.data.subset import only_classes

    if isinstance(data, NoData):
        raise DataError("the spec has no data", where="data", hint="give data.source; 'cnnlab list sources' shows all")
    where = data.where
    if data.split is not None and data.split.column is not None:
        data = data.model_copy(update={"split_column": data.split.column})
    dataset = SOURCES[data.source](data, base)
    dataset = check(dataset if data.classes is None else only_classes(dataset, data.classes, where), where)
    if data.resize is not None and isinstance(dataset.x, np.ndarray):
        frame, old = frame_of(data, dataset.x.ndim - 2), dataset.x.shape[1:-1]
        if frame is not None and frame.size != old:
            placed = frame.placed(old)
            needed = len(dataset.x) * max(prod(placed.scaled), prod(placed.size)) * dataset.x.shape[-1]
            words = f"{len(dataset.x):,} examples of {' x '.join(map(str, placed.size))}"
            check_fits(needed * dataset.x.itemsize, words, where=where, hint="choose a smaller data.resize")
            targets = resize_targets(dataset.targets, old, placed)
            dataset = replace(dataset, x=framed(dataset.x, frame), targets=targets)
    for array in (dataset.x, dataset.y, *(target.values for target in dataset.targets.values())):
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    return dataset


def check(dataset: Dataset, where: str) -> Dataset:
    """The dataset, with a note on classes without examples; DataError where nothing can be learnt from it."""
    x, y, classes = dataset.x, dataset.y, dataset.classes
    if len(x) < 2:
        raise DataError(f"{len(x)} example, and training needs at least 2", where=where, hint="add examples")
    _check_finite(dataset, where)
    check_targets(dataset, where)
    if not classes:
        return dataset
    wrong = np.flatnonzero((y < 0) | (y >= len(classes)))
    if len(wrong):
        message = f"{dataset.name(wrong[0])} has the label {y[wrong[0]]}, and there are {len(classes)} classes"
        hint = f"labels go from 0 to {len(classes) - 1}; {len(wrong)} do not"
        raise DataError(message, where=where, hint=hint)
    present = set(y.tolist())
    if len(present) == 1 and not dataset.targets:
        message = f"every one of the {len(y):,} examples has the class '{classes[y[0]]}'"
        raise DataError(message, where=where, hint="two classes are the least that can be told apart")
    missing = [name for i, name in enumerate(classes) if i not in present]
    if not missing:
        return dataset
    names = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
    note = f"{where}: {len(missing)} of the {len(classes)} classes have no example: {names}"
    return replace(dataset, notes=(*dataset.notes, note))


def _check_finite(dataset: Dataset, where: str) -> None:
    x = dataset.x
    if isinstance(x, StoredImages) or x.dtype == np.uint8:
        return
    rows = max(1, 2**24 // max(1, x[0].size))  # in parts: the mask of all of x is a quarter of its size
    parts = [np.isfinite(x[i : i + rows]).reshape(-1, x[0].size).all(1) for i in range(0, len(x), rows)]
    wrong = np.flatnonzero(~np.concatenate(parts))
    if len(wrong):
        bad = ~np.isfinite(x[wrong[0]])
        position = [int(i) for i in np.argwhere(bad)[0]]
        value = x[wrong[0]][tuple(position)]
        message = f"{dataset.name(wrong[0])} has the value {value} at {position} ({bad.sum()} of its values)"
        hint = f"values must be finite; examples with NaN or infinite values: {len(wrong)}"
        raise DataError(message, where=where, hint=hint)


def find(path: str, base: Path) -> Path:
    """The absolute form of a spec's path; DataError with the nearest name where nothing is there."""
    full = (base / Path(path).expanduser()).absolute()
    if full.exists():
        return full
    if not full.parent.is_dir():
        raise DataError(f"no folder {full.parent}", where=path, hint="a relative path starts at the spec file")
    near = did_you_mean(full.name, sorted(entry.name for entry in full.parent.iterdir()))
    hint = near or "a relative path starts at the spec file"
    raise DataError("no such file or folder", where=str(full), hint=hint)
