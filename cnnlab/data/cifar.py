"""`source: cifar10`, `cifar100` (Krizhevsky 2009): the folder or the archive, the binary or the Python version."""

import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from cnnlab.data import pickles
from cnnlab.data.dataset import Dataset, find
from cnnlab.data.memory import check_fits
from cnnlab.errors import DataError
from cnnlab.spec.data import Cifar10, Cifar100

PIXELS = 3 * 32 * 32
LARGEST = 2**29  # bytes of what an archive unpacks to, more than twice of what CIFAR's do
AGAIN = "copy or download it again"
Files = Mapping[str, Callable[[], bytes]]


@dataclass(frozen=True)
class Version:
    """The files of one of the two versions.

    labels: bytes before each binary image, or None for pickles; at: the label's place among them, or its key;
    names: the file with the classes' names; key: that of the names in a pickle.
    """

    train: Sequence[str]
    test: str
    names: str
    labels: int | None
    at: int | str
    key: str = ""


def cifar10(data: Cifar10, base: Path) -> Dataset:
    """uint8 [60000, 32, 32, 3], training before test, classes as in batches.meta. Raises DataError."""
    parts = [f"data_batch_{i}" for i in range(1, 6)]
    binary = Version([f"{part}.bin" for part in parts], "test_batch.bin", "batches.meta.txt", 1, 0)
    python = Version(parts, "test_batch", "batches.meta", None, "labels", "label_names")
    return _load(data, base, (binary, python))


def cifar100(data: Cifar100, base: Path) -> Dataset:
    """uint8 [60000, 32, 32, 3], the 100 fine or 20 coarse classes as in meta. Raises DataError."""
    kind = data.labels
    at = {"coarse": 0, "fine": 1}[kind]
    binary = Version(["train.bin"], "test.bin", f"{kind}_label_names.txt", 2, at)
    python = Version(["train"], "test", "meta", None, f"{kind}_labels", f"{kind}_label_names")
    return _load(data, base, (binary, python))


def _load(data: Cifar10 | Cifar100, base: Path, versions: Sequence[Version]) -> Dataset:
    path, where = find(data.path, base), data.path
    wanted = {name for version in versions for name in (*version.train, version.test, version.names)}
    files = _in_folder(path, wanted) if path.is_dir() else _in_archive(path, wanted, where)
    there = [version for version in versions if version.test in files or version.train[0] in files]
    if not there:
        message = f"neither {versions[0].train[0]} nor {versions[1].train[0]}"
        raise DataError(message, where=where, hint=f"name the folder or the archive of {data.source}")
    version = there[0]
    missing = [name for name in (*version.train, version.test, version.names) if name not in files]
    if missing:
        words = f"{missing[0]} is missing" + (f", and {len(missing) - 1} more files" if len(missing) > 1 else "")
        raise DataError(words, where=where, hint=AGAIN)
    names = _names(_content(files, version.names, where), version, f"{where}/{version.names}")
    pairs = []
    for name in (*version.train, version.test):
        x, y = _batch(_content(files, name, where), version, f"{where}/{name}")
        if y.max() >= len(names):
            wrong = int(np.argmax(y >= len(names)))
            message = f"image {wrong} has the label {y[wrong]}, and {version.names} names {len(names)} classes"
            raise DataError(message, where=f"{where}/{name}", hint=AGAIN)
        pairs.append((x, y))
    x, y = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    trained = len(x) - len(pairs[-1][0])
    given = {"train": np.arange(trained), "test": np.arange(trained, len(x))}
    return Dataset(x, y, names, given=given, source=data.source)


def _in_folder(folder: Path, wanted: set[str]) -> Files:
    """The wanted files of the folder, or of the one folder in it that an archive unpacks to."""
    inner = [entry for entry in sorted(folder.iterdir()) if entry.name.startswith("cifar-") and entry.is_dir()]
    paths = [place / name for place in (*inner, folder) for name in wanted if (place / name).is_file()]
    total = sum(path.stat().st_size for path in paths)
    check_fits(total, "its files", where=str(folder), hint="remove what is no part of it")
    return {path.name: path.read_bytes for path in paths}


def _in_archive(path: Path, wanted: set[str], where: str) -> Files:
    """The wanted files of a tar archive, in memory: nothing is unpacked to disk, and only files are looked at."""
    found: dict[str, bytes] = {}
    total = 0
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if not member.isreg() or name not in wanted:
                    continue
                total += member.size
                if total > LARGEST:
                    message = f"its files have {total:,} bytes up to {member.name}"
                    raise DataError(message, where=where, hint="CIFAR's have 184 million")
                check_fits(total, "its files", where=where, hint=AGAIN)
                file = archive.extractfile(member)
                found[name] = file.read() if file else b""
    except (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        reason = str(error).partition(":\n")[0]  # a line for each kind of compression follows
        raise DataError(f"cannot be read as an archive: {reason}", where=where, hint=AGAIN) from error
    return {name: io.BytesIO(content).getvalue for name, content in found.items()}


def _content(files: Files, name: str, where: str) -> bytes:
    try:
        return files[name]()
    except OSError as error:
        raise DataError(f"cannot be read: {error}", where=f"{where}/{name}", hint=AGAIN) from error


def _names(content: bytes, version: Version, where: str) -> tuple[str, ...]:
    if version.labels is None:
        names = _entry(pickles.load(content, where), version.key, list, where)
        texts = [name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names]
    else:
        texts = content.decode(errors="replace").split("\n")
    texts = [text.strip() for text in texts if text.strip()]
    if len(texts) < 2 or len(set(texts)) < len(texts):
        raise DataError(f"{len(set(texts))} names of classes on {len(texts)} lines", where=where, hint=AGAIN)
    return tuple(texts)


def _batch(content: bytes, version: Version, where: str) -> tuple[np.ndarray, np.ndarray]:
    """x uint8 [example, 32, 32, 3] and y int32 [example] of one file."""
    if version.labels is not None:
        record = version.labels + PIXELS
        if not content or len(content) % record:
            message = f"{len(content):,} bytes, and every image takes {record:,}"
            raise DataError(message, where=where, hint=AGAIN)
        rows = np.frombuffer(content, np.uint8).reshape(-1, record)
        pixels, y = rows[:, version.labels :], rows[:, version.at]  # type: ignore[index]
    else:
        batch = pickles.load(content, where)
        pixels = _entry(batch, "data", np.ndarray, where)
        y = _labels(_entry(batch, str(version.at), list, where), where)
        if pixels.dtype != np.uint8 or pixels.shape != (len(y), PIXELS) or not len(y):
            message = f"data is {pixels.dtype} {list(pixels.shape)} beside {len(y):,} labels"
            raise DataError(message, where=where, hint=f"uint8 [{max(len(y), 1)}, {PIXELS}] is wanted")
    images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), y.astype(np.int32)


def _labels(labels: list[Any], where: str) -> np.ndarray:
    if not all(isinstance(label, int) and 0 <= label < 256 for label in labels):
        raise DataError("a label is no whole number from 0 to 255", where=where, hint=AGAIN)
    return np.array(labels, np.int32)


def _entry(holder: Any, key: str, kind: type, where: str) -> Any:
    """The entry of a pickle's dictionary, which must be of this kind."""
    if not isinstance(holder, dict) or not isinstance(holder.get(key), kind):
        there = ", ".join(map(str, holder)) if isinstance(holder, dict) else f"a {type(holder).__name__}"
        raise DataError(f"no {kind.__name__} '{key}' in the pickle, which holds {there}", where=where, hint=AGAIN)
    return holder[key]
