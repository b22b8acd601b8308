"""`source: tfrecord` and `source: array_record`: files of records, each a tf.train.Example."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnnlab.data.dataset import Dataset, Target, find
from cnnlab.data.encoded import decode_bytes
from cnnlab.data.example import Feature, parse_example
from cnnlab.data.geometry import frame_of
from cnnlab.data.memory import check_fits
from cnnlab.data.npz import with_channels
from cnnlab.data.tfrecord import read_records
from cnnlab.errors import DataError, did_you_mean
from cnnlab.spec.records import RecordSource

SPLIT = re.compile(r"(?:^|[-_.])(train|val|validation|valid|test)(?=[-_.])")
SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
MARK = {"tfrecord": "tfrecord", "array_record": "array_record"}  # in the names of their files


def load(data: RecordSource, base: Path) -> Dataset:
    """All records, by file name and in their order: images as uint8, values and numbers as they are.

    Classes are the lines of <label>.labels.txt beside the files (as TensorFlow Datasets writes them), the texts that
    occur, or the numbers up to the greatest. Labels that are not whole are the target "values". Raises DataError.
    """
    path, where = find(data.path, base), data.path
    files = _files(path, data.tags[0], where)
    total = sum(file.stat().st_size for file in files)
    check_fits(2 * total, "its records", where=where, hint="use fewer or smaller files")
    names: list[str] = []
    examples: list[dict[str, Feature]] = []
    parts: dict[str, list[int]] = {}
    for file in files:
        start, shown = len(names), f"{where}/{file.name}" if path.is_dir() else where
        for i, record in enumerate(_records(file, data.tags[0], shown)):
            names.append(f"{shown}: record {i}")
            examples.append(_parsed(record, data, names[-1]))
        split = SPLIT.search(file.name)
        parts.setdefault(SPLITS[split[1]] if split else "", []).extend(range(start, len(names)))
    if not names:
        raise DataError("no record", where=where, hint="there must be an example")
    given = {split: np.array(part) for split, part in parts.items()} if "" not in parts and len(parts) > 1 else {}
    if given and "train" not in given:
        raise DataError(f"files of {' and '.join(given)}, and none of train", where=where, hint="add train")
    x = _images([example[data.image] for example in examples], names, data, where)
    y, classes, targets = _labels([example[data.label] for example in examples], names, data, files[0].parent)
    return Dataset(x, y, classes, given=given, source=data.tags[0], targets=targets)


def _files(path: Path, kind: str, where: str) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if MARK[kind] in file.name and file.is_file())
    if not files:
        raise DataError(f"no file with {MARK[kind]} in its name", where=where, hint="name the file, or its folder")
    return files


def _records(path: Path, kind: str, where: str) -> Sequence[bytes | memoryview]:
    if kind == "tfrecord":
        return read_records(path, where)
    try:
        from array_record.python.array_record_module import ArrayRecordReader  # type: ignore[import-not-found]
    except ImportError:
        message = "array-record reads ArrayRecord, and it is not installed"
        raise DataError(message, where=where, hint="pip install 'cnnlab[records]'") from None
    # All at once, 30,000 to 55,000 records of 12 kB a second. Grain's ArrayRecordDataSource has the same reader and
    # asks it for one after the other: no faster, and 30 a second where records were written in groups, the default.
    try:
        reader = ArrayRecordReader(str(path))
        records = reader.read_all() if reader.num_records() else []
        reader.close()
    except (RuntimeError, ValueError, OSError, IndexError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        hint = "copy or write the file again"
        raise DataError(f"cannot be read as ArrayRecord: {reason}", where=where, hint=hint) from error
    return records


def _parsed(record: bytes | memoryview, data: RecordSource, name: str) -> dict[str, Feature]:
    """The two features that are wanted."""
    try:
        found = parse_example(record)
    except (ValueError, OverflowError) as error:
        message = f"is no tf.train.Example: {error}"
        raise DataError(message, where=name, hint="write it again, or use another source") from error
    for key in ("image", "label"):
        feature = getattr(data, key)
        if feature not in found or not len(found[feature]):
            there = sorted(found)
            hint = did_you_mean(feature, there) or f"there are {', '.join(there) or 'none'}: data.{key} names one"
            raise DataError(f"no feature '{feature}'", where=name, hint=hint)
    return {feature: found[feature] for feature in (data.image, data.label)}


def _images(found: list[Feature], names: list[str], data: RecordSource, where: str) -> np.ndarray:
    if isinstance(found[0], list) and data.shape is None:
        for feature, name in zip(found, names, strict=True):
            if not isinstance(feature, list):
                raise DataError(f"'{data.image}' holds numbers, and bytes before", where=name)
        return decode_bytes([feature[0] for feature in found], names, data.channels, frame_of(data, 2), where)
    arrays = [_array(feature, name, data) for feature, name in zip(found, names, strict=True)]
    for array, name in zip(arrays, names, strict=True):
        if array.shape != arrays[0].shape or array.dtype != arrays[0].dtype:
            message = f"'{data.image}' has {array.size:,} numbers, and {arrays[0].size:,} in the first record"
            raise DataError(message, where=name, hint="bring all to one shape")
    axes = None if data.shape is None else len(data.shape) - 1
    return with_channels(np.stack(arrays), 0 if axes is None else axes, where)


def _array(feature: Feature, name: str, data: RecordSource) -> np.ndarray:
    """Of the spec's shape, where it gives one."""
    if isinstance(feature, list):
        size = np.dtype(data.dtype).itemsize * int(np.prod(data.shape or ()))
        if len(feature[0]) != size:
            words = f"{' x '.join(map(str, data.shape or ()))} of {data.dtype} are {size:,}"
            message = f"'{data.image}' has {len(feature[0]):,} bytes, and {words}"
            raise DataError(message, where=name, hint="data.shape and data.dtype say what they hold")
        array = np.frombuffer(feature[0], np.dtype(data.dtype).newbyteorder("<")).astype(data.dtype)
    else:
        array = feature.astype(np.float32)
    if data.shape is not None and array.size != np.prod(data.shape):
        message = f"'{data.image}' has {array.size:,} numbers, and data.shape is {list(data.shape)}"
        raise DataError(message, where=name, hint="data.shape is that of one example")
    return array if data.shape is None else array.reshape(data.shape)


def _labels(
    found: list[Feature], names: list[str], data: RecordSource, folder: Path
) -> tuple[np.ndarray, tuple[str, ...], dict[str, Target]]:
    for feature, name in zip(found, names, strict=True):
        if len(feature) != 1 or type(feature) is not type(found[0]):
            raise DataError(f"'{data.label}' has {len(feature)} values", where=name, hint="one label for every example")
    if isinstance(found[0], list):
        texts = [bytes(feature[0]).decode(errors="replace") for feature in found]
        classes = tuple(sorted(set(texts)))
        place = {text: i for i, text in enumerate(classes)}
        return np.array([place[text] for text in texts], np.int32), classes, {}
    values = np.array([feature[0] for feature in found])
    if values.dtype.kind == "f":
        target = Target(values.astype(np.float32)[:, None], (data.label,))
        return np.zeros(len(values), np.int32), (), {"values": target}
    listed = folder / f"{data.label}.labels.txt"
    classes = tuple(listed.read_text(encoding="utf-8").split("\n")) if listed.is_file() else ()
    classes = classes[:-1] if classes and not classes[-1] else classes
    wrong = np.flatnonzero((values < 0) | (values >= (len(classes) or 65_536)))
    if len(wrong):
        last = (len(classes) or 65_536) - 1
        message = f"'{data.label}' is {values[wrong[0]]}, and labels go from 0 to {last}"
        raise DataError(message, where=names[wrong[0]], hint=f"labels out of range: {len(wrong):,}")
    return values.astype(np.int32), classes or tuple(map(str, range(int(values.max()) + 1))), {}
