"""Data ready to train on: examples, splits, normalisation; written to a run, and read back from one."""

import csv
import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from cnnlab.data.boxes import classes_without
from cnnlab.data.crop import centre, centred_target, crop_size
from cnnlab.data.dataset import Dataset, load
from cnnlab.data.fingerprint import dataset_fingerprint, split_fingerprint, targets_fingerprint
from cnnlab.data.imbalance import imbalance, imbalance_notes, sampling_shares
from cnnlab.data.memory import processors
from cnnlab.data.normal import train_on
from cnnlab.data.split import NAMES, classes_missing, duplicates_across, missed, split
from cnnlab.data.stored import StoredImages
from cnnlab.data.target_counts import describe_targets
from cnnlab.errors import DataError, SpecError
from cnnlab.spec.data import with_own_decoder
from cnnlab.spec.schema import Data
from cnnlab.spec.tasks import Normal

COLUMNS = ["index", "split", "class", "file"]


@dataclass(frozen=True, eq=False)
class Prepared:
    """splits: sorted indices by split; mean, std: float32 [channel] of x after scaling uint8 to [0, 1].

    sampling: float64 [class], the share of each class in an epoch of training, None where each example comes once.
    crop: the centre of that size is what evaluation sees, None: all.
    label_noise: what data.json says of labels that are wrong on purpose, None where there are none.
    """

    dataset: Dataset
    splits: Mapping[str, np.ndarray]
    mean: np.ndarray
    std: np.ndarray
    notes: tuple[str, ...] = ()
    sampling: np.ndarray | None = None
    crop: tuple[int, ...] | None = None
    label_noise: Mapping[str, Any] | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """What the network sees: (*spatial, channel), without the batch."""
        *spatial, channels = self.dataset.x.shape[1:]
        return (*(self.crop or spatial), channels)

    @property
    def seen(self) -> np.ndarray | StoredImages:
        """Every example as evaluation sees it, [example, *input_shape]."""
        return centre(self.dataset.x, self.crop)

    def seen_target(self, values: np.ndarray, target: str) -> np.ndarray:
        """The values of a target, "class" or one of the dataset's, as evaluation sees them."""
        return centred_target(values, target, self.dataset.x.shape[1:-1], self.crop)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.dataset.classes

    @property
    def counts(self) -> dict[str, int]:
        """Examples by split."""
        return {name: len(indices) for name, indices in self.splits.items()}

    @property
    def class_counts(self) -> np.ndarray:
        """Training examples of each class, int64 [class]."""
        return np.bincount(self.dataset.y[self.splits["train"]], minlength=len(self.classes))


def prepare(data: Data, base: Path, seed: int, normal: Normal | None = None) -> Prepared:
    """What a spec's `data` asks for; `base` is the spec file's folder. Raises DataError and SpecError.

    `normal`: what training and validation keep to.
    """
    dataset = load(data, base)
    crop = crop_size(data, dataset.x.shape[1:-1])
    splits = split(dataset, data.split, seed)
    splits = splits if normal is None else train_on(dataset, splits, *normal)
    count = len(splits["train"])
    if "batch_size" in data.model_fields_set and data.batch_size != "all" and data.batch_size > count:
        message = f"data.batch_size is {data.batch_size:,}, and the training split has {count:,} examples"
        raise SpecError(message, hint=f"at most {count:,}")
    if data.augment:
        from cnnlab.data.augment import check_augmentations  # needs jax, 1.6 s

        check_augmentations(data.augment, dataset.x, crop=crop)
    mean, std = statistics(dataset.x, splits["train"]) if data.normalize else _identity(dataset.x)
    notes = dataset.notes + missed(data.split, splits) + duplicates_across(dataset, splits)
    notes += classes_missing(dataset, splits) + imbalance_notes(dataset, splits["train"])
    notes += classes_without(dataset, splits)
    return _with_noise(with_sampling(Prepared(dataset, splits, mean, std, notes, crop=crop), data), data, seed)


def _with_noise(prepared: Prepared, data: Data, seed: int) -> Prepared:
    """The data with a word on the wrong labels that training is to see; the labels themselves stay."""
    if data.label_noise is None or not prepared.classes:  # without classes the task says that it has none
        return prepared
    from cnnlab.data.label_noise import described  # needs jax

    train = prepared.splits["train"]
    found, note = described(data.label_noise, prepared.dataset.y[train], len(prepared.classes), seed, train)
    return replace(prepared, label_noise=found, notes=(*prepared.notes, note))


def with_sampling(prepared: Prepared, data: Data) -> Prepared:
    """The data with the shares of classes that `data.sampling` asks for. Raises SpecError."""
    if data.sampling is None:
        return prepared
    if not prepared.classes:
        message = "sampling goes by classes, and this data has none"
        raise SpecError(message, where="data.sampling", hint="leave it out")
    return replace(prepared, sampling=sampling_shares(data.sampling, prepared.classes, prepared.class_counts))


def _identity(x: np.ndarray | StoredImages) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(x.shape[-1], np.float32), np.ones(x.shape[-1], np.float32)


def statistics(x: np.ndarray | StoredImages, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (of the population) per channel of `x[indices]`, float32 [channel].

    uint8 counts as 0..1. Sums are float64, of differences to the first value, so that a constant channel has
    a deviation of exactly 0; that counts as 1. Images in files were summed when they were looked at, to the same bits.
    """
    channels, size = x.shape[-1], prod(x.shape[1:])
    if isinstance(x, StoredImages):
        first, sums, squares = x.survey.differences(indices, size // channels)
    else:
        first = x[indices[0]].reshape(-1, channels)[0].astype(np.float64)
        found = _differences(x.reshape(len(x), -1), indices, first)
        sums, squares = (each.reshape(-1, channels).sum(0) for each in found)
    mean, square = (each / (len(indices) * (size // channels)) for each in (sums, squares))
    variance = np.maximum(square - mean**2, 0)
    scale = 1 / 255 if x.dtype == np.uint8 else 1.0
    std = np.where(variance > 0, np.sqrt(variance) * scale, 1)
    return ((mean + first) * scale).astype(np.float32), std.astype(np.float32)


def _differences(flat: np.ndarray, indices: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums and sums of squares, float64 [value], of `flat[indices]` [example, value] minus the first pixel."""
    shift = np.tile(first, flat.shape[1] // len(first))
    rows = max(1, 2**20 // flat.shape[1])  # a million values at once stay in the processor's cache

    def part(start: int) -> tuple[np.ndarray, np.ndarray]:
        values = flat[indices[start : start + rows]] - shift
        return values.sum(0), np.einsum("nf,nf->f", values, values)

    sums, squares = np.zeros(flat.shape[1]), np.zeros(flat.shape[1])
    with ThreadPoolExecutor(processors()) as pool:
        for value, square in pool.map(part, range(0, len(indices), rows)):
            sums += value
            squares += square
    return sums, squares


def describe(prepared: Prepared) -> dict[str, Any]:
    """What the run keeps in data.json: plain dictionaries, lists, numbers and text."""
    dataset, splits = prepared.dataset, prepared.splits
    return {
        "source": dataset.source,
        "input_shape": list(prepared.input_shape),
        "dtype": dataset.x.dtype.name,
        **describe_task_data(prepared),
        "imbalance": imbalance(dataset, splits["train"]),
        "fingerprints": _fingerprints(dataset, splits),
        "evaluation": {"resize": list(dataset.x.shape[1:-1]), "crop": prepared.crop and list(prepared.crop)},
        "normalization": {"mean": prepared.mean.tolist(), "std": prepared.std.tolist()},
        "notes": list(prepared.notes),
        **({} if prepared.label_noise is None else {"label_noise": dict(prepared.label_noise)}),
        "skipped": [{"file": file, "reason": reason} for file, reason in dataset.skipped.items()],
    }


def describe_task_data(prepared: Prepared) -> dict[str, Any]:
    """The part of it that a task is made from: names and counts of what there is to learn."""
    dataset, splits = prepared.dataset, prepared.splits
    classes = len(dataset.classes)
    return {
        "classes": list(dataset.classes),
        "counts": prepared.counts,
        "counts_per_class": {
            name: np.bincount(dataset.y[indices], minlength=classes)[:classes].tolist()
            for name, indices in splits.items()
        },
        "targets": describe_targets(dataset, splits),
    }


def _fingerprints(dataset: Dataset, splits: Mapping[str, np.ndarray]) -> dict[str, str]:
    of_splits = {name: split_fingerprint(dataset, indices) for name, indices in splits.items()}
    of_targets = {"targets": targets_fingerprint(dataset)} if dataset.targets else {}
    return {"data": dataset_fingerprint(dataset), **of_targets, **of_splits}


def splits_csv(prepared: Prepared) -> str:
    """A row for each example: its index, split, class and file (empty where examples are not files)."""
    dataset, text = prepared.dataset, io.StringIO(newline="")
    classes = dataset.classes or ("",)
    rows = sorted((int(i), name) for name, indices in prepared.splits.items() for i in indices)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for i, name in rows:
        writer.writerow([i, name, classes[dataset.y[i]], dataset.files[i] if dataset.files else ""])
    return text.getvalue()


def splits_from_csv(text: str) -> dict[str, np.ndarray]:
    """The sorted int64 indices by split that `splits_csv` wrote; DataError where a line is not one of its."""
    rows = list(csv.reader(io.StringIO(text, newline="")))
    hint = "restore the run's splits.csv, or train again"
    if not rows or rows[0] != COLUMNS:
        message = f"the first line must be {','.join(COLUMNS)}"
        raise DataError(message, where="splits.csv", hint=hint)
    splits: dict[str, list[int]] = {name: [] for name in NAMES}
    for line, row in enumerate(rows[1:], 2):
        if len(row) != len(COLUMNS) or not row[0].isdecimal() or str(int(row[0])) != row[0] or row[1] not in NAMES:
            raise DataError(f"row {line} is {row}", where="splits.csv", hint=hint)
        splits[row[1]].append(int(row[0]))
    if len({row[0] for row in rows[1:]}) < len(rows) - 1:
        raise DataError("an index stands there twice", where="splits.csv", hint=hint)
    return {name: np.array(sorted(found), np.int64) for name, found in splits.items() if found}


def restore(data: Data, base: Path, splits: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Prepared:
    """The data of a run, loaded again, with the run's own splits, normalisation and notes.

    `description` is what `describe` returned at training. DataError where the data is not the same any more.
    """
    dataset = load(with_own_decoder(data), base)
    where = data.where
    hint = "put the data back as it was, or train again"
    lacking = [key for key in ("fingerprints", "normalization", "notes") if key not in description]
    if lacking or "data" not in description["fingerprints"]:
        message = f"no key '{lacking[0] if lacking else 'fingerprints.data'}'"
        raise DataError(message, where="data.json", hint="restore the run's file, or train again")
    known = description["fingerprints"]
    count = sum(map(len, splits.values()))
    now = dataset_fingerprint(dataset)
    if now != known["data"]:
        message = f"the data changed since training: {len(dataset.y):,} examples with the fingerprint {now[:12]}"
        message += f", and it was {count:,} with {known['data'][:12]}"
        raise DataError(message, where=where, hint=hint)
    if any(indices.max() >= len(dataset.y) for indices in splits.values()):
        raise DataError("an index is larger than the data", where="splits.csv", hint="restore the file")
    found = _fingerprints(dataset, splits)
    if found.get("targets") != known.get("targets", found.get("targets")):  # older runs do not say
        raise DataError("what there is to learn changed since training: masks, values, ...", where=where, hint=hint)
    changed = [name for name in {**known, **found} if name != "targets" and found.get(name) != known.get(name)]
    if changed:
        message = f"the {changed[0]} split is not the one of the training: its fingerprint differs"
        raise DataError(message, where="splits.csv", hint="restore the run's splits.csv and data.json")
    mean, std = (np.array(description["normalization"][key], np.float32) for key in ("mean", "std"))
    crop = crop_size(data, dataset.x.shape[1:-1])
    return with_sampling(Prepared(dataset, splits, mean, std, tuple(description["notes"]), crop=crop), data)
