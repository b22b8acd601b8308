"""`source: huggingface`: what `datasets` of Hugging Face saved to disk, read from its Arrow files."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from cnnlab.data.dataset import Dataset, Target, find
from cnnlab.data.encoded import decode_bytes
from cnnlab.data.geometry import frame_of
from cnnlab.data.memory import check_fits
from cnnlab.errors import DataError, did_you_mean
from cnnlab.spec.records import HuggingFace

SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
AGAIN = "save it again with save_to_disk"


def load(data: HuggingFace, base: Path) -> Dataset:
    """All images, uint8 [example, height, width, channels], by split and in their order.

    Classes are those of a ClassLabel, the texts that occur, or the numbers up to the greatest; numbers that are not
    whole are the target "values". Raises DataError.
    """
    try:
        import pyarrow  # type: ignore[import-not-found]
    except ImportError:
        message = "pyarrow reads data sets of Hugging Face, and it is not installed"
        raise DataError(message, where=data.where, hint="pip install 'cnnlab[huggingface]'") from None
    root, where = find(data.path, base), data.path
    folders = _splits(root, where)
    check_fits(sum(f.stat().st_size for f in root.rglob("*.arrow")), "its files", where=where, hint="save fewer rows")
    images: list[bytes | Path] = []
    labels: list[Any] = []
    names: list[str] = []
    given: dict[str, np.ndarray] = {}
    kinds = []
    for split, folder in folders.items():
        start, shown = len(labels), f"{where}/{folder.name}" if split else where
        try:
            info = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))
            state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            kinds.append(info["features"])
            files = [folder / Path(entry["filename"]).name for entry in state["_data_files"]]
            rows = [row for file in files for row in _rows(file, f"{shown}/{file.name}", data, pyarrow)]
        except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowException) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"cannot be read: {reason}", where=shown, hint=AGAIN) from error
        if state.get("_indices_data_files") or state.get("_indices_files"):
            message = "is a selection of rows, which stand in another file"
            raise DataError(message, where=shown, hint="dataset.flatten_indices() before save_to_disk")
        for i, (image, label) in enumerate(rows):
            names.append(f"{shown}: row {i}")
            images.append(_encoded(image, data, folder, names[-1]))
            if label is None:
                raise DataError(f"'{data.label}' is empty", where=names[-1], hint="filter such rows out")
            labels.append(label)
        given[split] = np.arange(start, len(labels))
    if not labels:
        raise DataError("no row", where=where, hint="there must be an example")
    x = decode_bytes(images, names, data.channels, frame_of(data, 2), where)
    y, classes, targets = _labels(labels, kinds, names, data)
    return Dataset(x, y, classes, given={} if "" in given else given, source=data.source, targets=targets)


def _splits(root: Path, where: str) -> dict[str, Path]:
    """The folder of each split, train first; `{"": root}` for a data set without splits."""
    if (root / "state.json").is_file():
        return {"": root}
    listed = root / "dataset_dict.json"
    if not listed.is_file():
        message = "no dataset_dict.json and no state.json, so it is nothing that save_to_disk wrote"
        raise DataError(message, where=where, hint="data sets in Parquet are read by source: csv")
    try:
        names = json.loads(listed.read_text(encoding="utf-8"))["splits"]
        strange = [name for name in names if name not in SPLITS]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"dataset_dict.json is damaged: {error}", where=where, hint=AGAIN) from error
    if strange or "train" not in names:
        message = f"the splits are {', '.join(map(str, names))}, and train, validation, test are known"
        raise DataError(message, where=where, hint="rename them, or name the folder of one")
    return {split: root / name for name, split in SPLITS.items() if name in names}


def _rows(file: Path, shown: str, data: HuggingFace, pyarrow: Any) -> list[tuple[Any, Any]]:
    """Image and label of each row."""
    with pyarrow.memory_map(str(file)) as source:
        table = pyarrow.ipc.open_stream(source).read_all()
        table.validate(full=True)
        for key in ("image", "label"):
            name = getattr(data, key)
            if name not in table.column_names:
                hint = did_you_mean(name, table.column_names) or f"there are {', '.join(table.column_names)}"
                raise DataError(f"data.{key}: no column '{name}'", where=shown, hint=hint)
        return list(zip(table[data.image].to_pylist(), table[data.label].to_pylist(), strict=True))


def _encoded(image: Any, data: HuggingFace, folder: Path, name: str) -> bytes | Path:
    """The bytes of an image's file, or where it lies."""
    if isinstance(image, dict) and isinstance(image.get("bytes"), bytes):
        return image["bytes"]
    if isinstance(image, dict) and isinstance(image.get("path"), str):
        return folder / image["path"]
    if isinstance(image, bytes):
        return image
    what = "empty" if image is None else f"a {type(image).__name__}"
    raise DataError(f"'{data.image}' is {what}, and no image", where=name, hint="data.image names the column of images")


def _labels(
    labels: list[Any], kinds: list[dict[str, Any]], names: list[str], data: HuggingFace
) -> tuple[np.ndarray, tuple[str, ...], dict[str, Target]]:
    kind = kinds[0].get(data.label) or {}
    if any(other.get(data.label) != kinds[0].get(data.label) for other in kinds):
        raise DataError(f"'{data.label}' is not the same in all splits", where=data.where, hint=AGAIN)
    odd = next((i for i, label in enumerate(labels) if type(label) is not type(labels[0])), None)
    if odd is not None or type(labels[0]) not in (int, str, float, bool):
        message = f"'{data.label}' is a {type(labels[odd or 0]).__name__}"
        raise DataError(message, where=names[odd or 0], hint="a class or a number is wanted")
    if isinstance(labels[0], float):
        target = Target(np.array(labels, np.float32)[:, None], (data.label,))
        return np.zeros(len(labels), np.int32), (), {"values": target}
    if isinstance(labels[0], str):
        classes = tuple(sorted(set(labels)))
        place = {label: i for i, label in enumerate(classes)}
        return np.array([place[label] for label in labels], np.int32), classes, {}
    classes = tuple(map(str, kind.get("names") or ()))
    most = (len(classes) or 65_536) - 1
    wrong = [i for i, label in enumerate(labels) if not 0 <= label <= most]
    if wrong:
        message = f"'{data.label}' is {labels[wrong[0]]}, and labels go from 0 to {most}"
        raise DataError(
            message, where=names[wrong[0]], hint=f"labels out of range: {len(wrong):,}; filter such rows out"
        )
    return np.array(labels, np.int32), classes or tuple(map(str, range(int(max(labels)) + 1))), {}
