"""Which data a run saw: SHA-256 of every example, of the whole, of each split."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from cnnlab.data.memory import processors

if TYPE_CHECKING:
    from cnnlab.data.dataset import Dataset


def content_digests(x: np.ndarray) -> tuple[bytes, ...]:
    """SHA-256 of each example [example, ...]: its shape, dtype and bytes. Equal examples, equal digests."""
    header = _header(x.dtype, x.shape[1:])
    rows = np.ascontiguousarray(x).reshape(len(x), prod(x.shape[1:])).view(np.uint8)

    def digests(part: np.ndarray) -> list[bytes]:
        hashes = [header.copy() for _ in part]
        for row, each in zip(part, hashes, strict=True):
            each.update(row)
        return [each.digest() for each in hashes]

    with ThreadPoolExecutor(processors()) as pool:  # hashlib lets threads run side by side
        parts = pool.map(digests, np.array_split(rows, processors()))
        return tuple(digest for part in parts for digest in part)


def content_digest(example: np.ndarray) -> bytes:
    """What `content_digests` has of this one."""
    digest = _header(example.dtype, example.shape)
    digest.update(np.ascontiguousarray(example).data)
    return digest.digest()


def _header(dtype: np.dtype, shape: tuple[int, ...]) -> "hashlib._Hash":
    return hashlib.sha256(f"{dtype.str} {shape} ".encode())


def example_digests(dataset: "Dataset") -> list[bytes]:
    """SHA-256 of each example's content and its label's name, nothing where there are no classes."""
    names = [name.encode() for name in dataset.classes] or [b""]
    pairs = zip(dataset.digests, dataset.y.tolist(), strict=True)
    return [hashlib.sha256(content + names[label]).digest() for content, label in pairs]


def dataset_fingerprint(dataset: "Dataset") -> str:
    """64 hexadecimal digits: the classes and all examples, in order."""
    whole = hashlib.sha256(json.dumps(dataset.classes).encode())
    whole.update(b"".join(example_digests(dataset)))
    return whole.hexdigest()


def split_fingerprint(dataset: "Dataset", indices: np.ndarray) -> str:
    """64 hexadecimal digits: the examples at `indices` and their labels, in whatever order."""
    digests = example_digests(dataset)
    return hashlib.sha256(b"".join(sorted(digests[i] for i in indices.tolist()))).hexdigest()


def targets_fingerprint(dataset: "Dataset") -> str:
    """64 hexadecimal digits: what there is to learn beside the classes, in the order of the examples."""
    whole = hashlib.sha256()
    for kind, target in sorted(dataset.targets.items()):
        whole.update(json.dumps([kind, target.names, target.values.shape]).encode())
        whole.update(b"".join(content_digests(target.values)))
    return whole.hexdigest()
