"""`on_bad_file`: images that cannot be read, or of which files say what cannot be, end the work, or are left out,
counted and listed."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from cnnlab.data.boxes import BadAnnotation
from cnnlab.data.dataset import Dataset
from cnnlab.data.geometry import frame_of
from cnnlab.data.images import decode
from cnnlab.data.load_images import load_images, workers_notes
from cnnlab.data.memory import processors
from cnnlab.data.problems import Problem, stop
from cnnlab.data.progress import counted
from cnnlab.data.subset import take
from cnnlab.errors import CnnlabError, DataError
from cnnlab.spec.data import ImageFiles

Spec = TypeVar("Spec", bound=ImageFiles)


def with_pixels(listed: Dataset, root: Path, data: ImageFiles, where: str, base: Path) -> Dataset:
    """The dataset of which a source has listed all but the pixels; its files start at `root`, and
    `data.cache` at `base`. Raises DataError."""
    if data.on_bad_file == "skip":
        listed = without_bad(listed, root, data, where)
    x = load_images(root, listed.files or (), data, frame_of(data, 2), where, base)
    return replace(listed, x=x, digests=(), notes=listed.notes + workers_notes(data, x))


def without_bad_annotations(
    listed: Callable[[Spec, Path, Problem], Dataset], data: Spec, base: Path, problem: Problem = stop
) -> Dataset:
    """What a source lists; with `on_bad_file: skip` without the images of which something wrong is said, which
    `skipped` has, and a note their number. Else `problem` hears of all. Raises DataError where no two are left."""
    if data.on_bad_file == "error":
        return listed(data, base, problem)
    bad: dict[str, str] = {}
    others: list[str] = []

    def skip(error: CnnlabError) -> None:
        if not isinstance(error, BadAnnotation):
            problem(error)
            return
        words = f"{error.where}: {error.message}"
        if error.file:
            bad.setdefault(error.file, words)
        else:
            others.append(words)

    dataset = listed(data, base, skip)
    files, notes = dataset.files or (), dataset.notes
    kept = np.array([i for i, file in enumerate(files) if file not in bad], np.int64)
    if bad:
        first, words = next(iter(bad.items()))
        count = len({*files, *bad})
        notes += (f"{data.path}: {len(bad):,} of {count:,} images are skipped, for example {first}: {words}",)
    if others:
        notes += (f"{data.path}: annotations of no image: {len(others):,}, for example {others[0]}",)
    return replace(take(dataset, kept) if bad else dataset, notes=notes, skipped=bad)


def without_bad(listed: Dataset, root: Path, data: ImageFiles, where: str) -> Dataset:
    """The examples whose images can be read; `skipped` has the others, a note their number, classes stay as they are.

    Every image is decoded for this. Raises DataError where a class would lose all its images.
    """
    files = listed.files or ()
    bad = bad_files(root, files, data.channels)
    if not bad:
        return listed
    kept = np.array([i for i, file in enumerate(files) if file not in bad], np.int64)
    wanted = [i for i, name in enumerate(listed.classes) if data.classes is None or name in data.classes]
    for label in wanted:
        if label in listed.y and label not in listed.y[kept]:
            first = next(file for file, y in zip(files, listed.y, strict=True) if y == label)
            message = f"no image of the class '{listed.classes[label]}' can be read; {first}: {bad[first]}"
            raise DataError(message, where=where, hint="repair them, or remove the class")
    first, reason = next(iter(bad.items()))
    note = f"{where}: {len(bad):,} of {len(files):,} files are skipped, for example {first}: {reason}"
    return replace(take(listed, kept), notes=(*listed.notes, note), skipped={**listed.skipped, **bad})


def bad_files(root: Path, files: Sequence[str], channels: int) -> dict[str, str]:
    """What is wrong with each file that cannot be decoded, in the order of `files`, which start at `root`."""

    def problem(file: str) -> str:
        try:
            decode(root / file, channels)
        except DataError as error:
            return error.message
        return ""

    with ThreadPoolExecutor(processors()) as pool:
        found = zip(files, counted(pool.map(problem, files), len(files)), strict=True)
        return {file: words for file, words in found if words}
